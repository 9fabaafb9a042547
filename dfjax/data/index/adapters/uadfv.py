"""UADFV (Li et al. 2018): 49 videos `real/NNNN.mp4`, 49 videos `fake/NNNN_fake.mp4`, no split."""

from pathlib import Path, PurePosixPath

from dfjax import FAKE, REAL
from dfjax.data.index.adapters.listing import REFUSED, Listing, Problem, Row, keep_pairs, shorten
from dfjax.data.index.adapters.walk import find_folder, find_media
from dfjax.data.index.records import make_record
from dfjax.errors import UsageError

DATASET = "uadfv"


def list_uadfv(root: Path) -> Listing:
    """Returns the rows of UADFV.

    The pair of a fake is the real video with the same number.

    Args:
        root: Folder that holds `real/` and `fake/`.

    Raises:
        UsageError: One of these folders is missing or has no videos.
    """
    rows: dict[str, Row] = {}
    problems = []
    for name, label in (("real", REAL), ("fake", FAKE)):
        folder = find_folder(root, name)
        files = find_media(folder) if folder else []
        if folder is None or not files:
            raise UsageError(f"{root} holds no videos in {name}/")
        for file in files:
            stem = PurePosixPath(file).stem
            number = stem.removesuffix("_fake")
            video_id = f"{DATASET}/{name}/{stem}"
            path = f"{folder.name}/{file}"
            if video_id in rows:
                problems.append(Problem(REFUSED, video_id, path, "occurs twice"))
                continue
            rows[video_id] = make_record(
                video_id=video_id,
                dataset=DATASET,
                label=label,
                method="FakeApp" if label == FAKE else "real",
                target_id=number,
                origin_id=number,
                group=f"{DATASET}/{number}",
                pair_id=f"{DATASET}/real/{number}" if label == FAKE else None,
                root=str(root.resolve()),
                path=path,
            )
    listed = list(rows.values())
    alone = keep_pairs(listed)
    notes = ["UADFV has no official split: all videos are in the split none"]
    if alone:
        notes.append(f"{len(alone)} fakes have no real video here: {shorten(alone)}")
    return Listing(listed, notes, problems)

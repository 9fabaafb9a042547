"""WildDeepfake (Zi et al. 2020): sequences of face crops from videos on the internet.

The archives `{real,fake}_{train,test}/N.tar.gz`, one per video, hold folders of face images, one
per sequence. They must be extracted before indexing.
"""

import re
from pathlib import Path, PurePosixPath

from dfjax import FAKE, REAL
from dfjax.data.index.adapters.frame_folders import describe_frames, find_frame_folders
from dfjax.data.index.adapters.listing import Listing
from dfjax.data.index.adapters.walk import find_files
from dfjax.data.index.records import make_record
from dfjax.errors import UsageError

DATASET = "wilddeepfake"
CLASS = re.compile(r"(real|fake)_(train|val|test)", re.IGNORECASE)


def list_wilddeepfake(root: Path) -> Listing:
    """Returns the rows of WildDeepfake, one per face sequence, ready for `data pack`.

    `group` and `origin_id` are the video (archive) that a sequence was cut from. The split is the
    official one, which has no validation videos.

    Args:
        root: Folder that holds `real_train/`, `fake_train/`, `real_test/` and `fake_test/`.

    Raises:
        UsageError: `root` holds no face sequences.
    """
    base = root.resolve()
    rows = []
    for folder, names in find_frame_folders(root).items():
        parts = PurePosixPath(folder).parts
        place = next((i for i, part in enumerate(parts) if CLASS.fullmatch(part)), None)
        if place is None or place + 1 == len(parts):
            continue
        label, split = parts[place].lower().split("_")
        below = [part for part in parts[place + 1 :] if part not in ("extracted", label)]
        origin = "/".join([parts[place], *(below[:1])])
        rows.append(
            make_record(
                video_id="/".join([DATASET, *parts[place:]]),
                dataset=DATASET,
                label=FAKE if label == "fake" else REAL,
                method="wild" if label == "fake" else "real",
                split=split,
                origin_id=origin,
                group=f"{DATASET}/{origin}",
                root=str(base),
                path=folder,
                **describe_frames(base / folder, names),
            )
        )
    if not rows:
        packed = find_files(root, lambda name: name.endswith((".tar.gz", ".tar", ".tgz", ".zip")))
        hint = "extract its archives first" if packed else "name the folder that holds real_train/"
        raise UsageError(f"{root} holds no face sequences of WildDeepfake: {hint}")
    return Listing(rows, ["the videos are face crops already and need no extraction"], [])

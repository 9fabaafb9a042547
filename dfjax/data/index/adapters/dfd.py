"""DeepFakeDetection (Google and Jigsaw 2019), which is distributed with FaceForensics++.

The files are `original_sequences/actors/C/videos/ACTOR__SCENE.mp4` and
`manipulated_sequences/DeepFakeDetection/C/videos/TARGET_DONOR__SCENE__XXXXXXXX.mp4`. There is no
official split; published results use the whole data set as a test set.
"""

import re
from pathlib import Path
from typing import Any

from dfjax import FAKE, REAL
from dfjax.data.index.adapters.ffpp import COMPRESSIONS, END, RATE, add_masks, list_tree
from dfjax.data.index.adapters.listing import REFUSED, Listing, Problem, Row, keep_pairs, shorten
from dfjax.data.index.records import make_record
from dfjax.errors import UsageError

DATASET = "dfd"
PLACE = re.compile(
    rf"(original_sequences/actors|manipulated_sequences/DeepFakeDetection)/{RATE}/"
    rf"(?:videos|images)/(.+?){END}"
)
REAL_NAME = re.compile(r"(\d+)__(.+)")
FAKE_NAME = re.compile(r"(\d+)_(\d+)__(.+)__(\w{8})")


def list_dfd(root: Path, *, compression: str | None = None) -> Listing:
    """Returns the rows of DeepFakeDetection in a FaceForensics++ tree.

    The pair of a fake is the target's real video of the same scene; some scenes have none. The
    `group` is that scene and not the identity, because the faces of all 28 actors are swapped with
    each other, so that grouping by identity would give a single group.

    Args:
        root: Folder that holds `original_sequences/` and `manipulated_sequences/`.
        compression: Compression to list; None lists all compressions found.

    Raises:
        UsageError: `root` has no such tree or no videos of this data set.
    """
    rows: dict[str, Row] = {}
    other, problems = [], []
    for path in list_tree(root, compression):
        place = PLACE.fullmatch(path)
        if place is None:
            other.append(path)
        elif compression is None or COMPRESSIONS[compression] == COMPRESSIONS[place[2]]:
            fields = parse_stem(place[3], COMPRESSIONS[place[2]])
            if fields is None or fields["video_id"] in rows:
                reason = "has a name of another data set" if fields is None else "occurs twice"
                problems.append(Problem(REFUSED, f"{DATASET}/{place[3]}", path, reason))
            else:
                rows[fields["video_id"]] = make_record(
                    **fields, root=str(root.resolve()), path=path
                )
    if not rows:
        raise UsageError(
            f"{root} holds no videos of DeepFakeDetection (original_sequences/actors, "
            "manipulated_sequences/DeepFakeDetection)"
        )
    listed = list(rows.values())
    add_masks(listed, other)
    alone = keep_pairs(listed)
    notes = ["DeepFakeDetection has no official split: all videos are in the split none"]
    if alone:
        notes.append(f"{len(alone)} fakes have no real video of their scene: {shorten(alone)}")
    return Listing(listed, notes, problems)


def parse_stem(stem: str, compression: str) -> dict[str, Any] | None:
    """Returns the fields of a record that follow from a file's name, or None for other names.

    Args:
        stem: Name of the file without its suffix.
        compression: Compression of the video, such as `c23`.
    """
    fake, real = FAKE_NAME.fullmatch(stem), REAL_NAME.fullmatch(stem)
    if fake:
        target, donor, scene, _ = fake.groups()
        fields: dict[str, Any] = {
            "video_id": f"{DATASET}/DeepFakeDetection/{compression}/{stem}",
            "label": FAKE,
            "method": "DeepFakeDetection",
            "donor_ids": [donor],
            "pair_id": f"{DATASET}/actors/{compression}/{target}__{scene}",
        }
    elif real:
        target, scene = real.groups()
        fields = {"video_id": f"{DATASET}/actors/{compression}/{stem}", "label": REAL}
    else:
        return None
    return fields | {
        "dataset": DATASET,
        "target_id": target,
        "origin_id": f"{target}__{scene}",
        "group": f"{DATASET}/{target}__{scene}",
        "compression": compression,
    }

"""DeepFakeDetection (Google and Jigsaw 2019), which is distributed with FaceForensics++.

`original_sequences/actors/C/videos/ACTOR__SCENE.mp4` and
`manipulated_sequences/DeepFakeDetection/C/videos/TARGET_DONOR__SCENE__XXXXXXXX.mp4`. There is no
official split: the field tests on all of it.
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

    A fake's pair is the target's real video of the same scene; some scenes have none. `group` is
    that scene: 28 actors are swapped with each other, so that no identity is free of the others.

    Args:
        root: the folder with `original_sequences/` and `manipulated_sequences/`.
        compression: only this one; None takes all that are there.

    Raises:
        UsageError: no such tree, or nothing in it.
    """
    rows: dict[str, Row] = {}
    other, problems = [], []
    for path in list_tree(root, compression):
        place = PLACE.fullmatch(path)
        if place is None:
            other.append(path)
        elif compression is None or COMPRESSIONS[compression] == COMPRESSIONS[place[2]]:
            fields = describe(place[3], COMPRESSIONS[place[2]])
            if fields is None or fields["video_id"] in rows:
                reason = "no name of DeepFakeDetection" if fields is None else "is there twice"
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
    notes = ["DeepFakeDetection has no official split: all videos are split none"]
    if alone:
        notes.append(f"{len(alone)} fakes without the real video of their scene: {shorten(alone)}")
    return Listing(listed, notes, problems)


def describe(stem: str, compression: str) -> dict[str, Any] | None:
    """Returns the fields of a record that a file's name tells, or None for another name."""
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

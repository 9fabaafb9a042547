"""The predictions table of scored clips."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from dfjax.evaluation.scoring.scorer import Scores
from dfjax.evaluation.tables.predictions import COLUMNS
from dfjax.shapes import HostBatch


def tabulate(
    scored: Iterable[tuple[HostBatch, Scores]],
    index: pd.DataFrame,
    *,
    split: str,
    unit: str = "clip",
    face_shares: bool = False,
) -> pd.DataFrame:
    """Returns the predictions table of scored batches; clips of weight 0 are left out.

    Scores besides `logit` and `fake_prob` are further columns. Images and features are not kept.

    Args:
        scored: Batches with their scores, from `Scorer`; `video_index` is the position in `index`.
        index: Index of the videos, with their data set, id and method.
        split: Name of the split, for the column `split`.
        unit: Unit of a row: `clip`, or `frame` where clips have one frame.
        face_shares: Whether `face_share` is a column, the share of the frames of a clip in which a
            face was detected, by `face_found` of the index.
    """
    found = FaceShares(index) if face_shares else None
    rows = [_rows(batch, scores, found) for batch, scores in scored]
    return _table(rows, index, split=split, unit=unit)


class FaceShares:
    """The share of the frames of clips in which a face was detected, by the index."""

    def __init__(self, index: pd.DataFrame) -> None:
        """Reads the columns `frame_indices` and `face_found`."""
        self._frames = index["frame_indices"].to_numpy(object)
        self._found = index["face_found"].to_numpy(object)

    def __call__(self, batch: HostBatch) -> np.ndarray:
        """Returns the share of each clip; NaN where the index does not say it."""
        clips = zip(batch["video_index"], np.asarray(batch["position"]), np.asarray(batch["mask"]))
        return np.array([self._compute(int(video), frames[mask]) for video, frames, mask in clips])

    def _compute(self, video: int, numbers: np.ndarray) -> float:
        found = self._found[video]
        if found is None or not len(numbers):
            return np.nan
        places = np.searchsorted(np.asarray(self._frames[video]), numbers)
        return float(np.asarray(found, bool)[places].mean())


def _rows(
    batch: HostBatch, scores: Scores, face_shares: FaceShares | None
) -> dict[str, np.ndarray]:
    """Returns the columns of one batch: video, position, label and scores."""
    if face_shares is not None:
        scores = {**scores, "face_share": face_shares(batch)}
    kept = np.asarray(batch["weight"]) > 0
    mask, position = np.asarray(batch["mask"]), np.asarray(batch["position"])
    first = mask.argmax(axis=1)  # padding may precede the frames
    return {
        "video_index": np.asarray(batch["video_index"])[kept],
        "position": position[np.arange(len(first)), first][kept],
        "label": np.asarray(batch["label"])[kept],
    } | {name: values[kept] for name, values in scores.items()}


def _table(
    rows: list[dict[str, np.ndarray]], index: pd.DataFrame, *, split: str, unit: str
) -> pd.DataFrame:
    if not rows:
        return pd.DataFrame(columns=list(COLUMNS)).astype(COLUMNS)
    columns = {key: np.concatenate([row[key] for row in rows]) for key in rows[0]}
    videos = index.iloc[columns.pop("video_index")]
    table = pd.DataFrame(columns)
    for name in ("dataset", "method"):
        table[name] = videos[name].to_numpy()
    table = table.assign(unit=unit, split=split, **split_faces(videos))
    further = [name for name in table if name not in COLUMNS]
    return table[[*COLUMNS, *further]].astype(COLUMNS)


def split_faces(videos: pd.DataFrame) -> dict[str, np.ndarray]:
    """Returns the columns `video_id` and `face` of index rows; face k has the id `VIDEO_ID#k`."""
    ids = videos["video_id"].to_numpy()
    if "face" not in videos:
        return {"video_id": ids, "face": np.zeros(len(ids), np.int32)}
    faces = videos["face"].fillna(0).to_numpy(np.int32)
    names = [name.removesuffix(f"#{k}") if k else name for name, k in zip(ids, faces)]
    return {"video_id": np.array(names, object), "face": faces}

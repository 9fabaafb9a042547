"""Properties of the inputs of clips, collected while the clips are scored."""

from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd

from dfjax.data.faces.input_measures import measure_clips, measure_index
from dfjax.shapes import HostBatch


class MeasuredClips:
    """The sharpness of the clips that pass by while they are scored."""

    def __init__(self) -> None:
        """Starts without clips."""
        self._found: list[tuple[np.ndarray, np.ndarray]] = []

    def watch(self, batches: Iterable[HostBatch]) -> Iterator[HostBatch]:
        """Yields the batches unchanged."""
        for batch in batches:
            if "clip" in batch:
                kept = np.asarray(batch["weight"]) > 0
                clips, mask = np.asarray(batch["clip"])[kept], np.asarray(batch["mask"])[kept]
                rows = np.asarray(batch["video_index"])[kept]
                self._found.append((rows, measure_clips(clips, mask)))
            yield batch

    def tabulate(self, index: pd.DataFrame) -> pd.DataFrame:
        """Returns the properties of the videos of an index, by `video_id`."""
        table = measure_index(index).set_axis(index["video_id"])
        table["sharpness"] = np.nan
        if self._found:
            rows, values = (np.concatenate(column) for column in zip(*self._found))
            means = pd.Series(values).groupby(rows).mean()
            table.iloc[means.index, table.columns.get_loc("sharpness")] = means.to_numpy()
        return table[~table.index.duplicated()]

"""Rules about leaks: people, recordings, files, pairs or groups in more than one split."""

from collections.abc import Callable, Iterable

import numpy as np
import pandas as pd

from dfjax.data.index.audit.findings import Evidence, Finding, make_finding, name_some
from dfjax.data.index.components import LINKS, Keys, known
from dfjax.data.index.splits import PARTS


def identities(evidence: Evidence) -> Iterable[Finding]:
    """Yields an error when a person is in several splits.

    A detector may then learn which people are manipulated instead of the manipulation.
    """
    remedy = "split again by identity (`dfjax data split`)"
    yield from _across(evidence, "identity_across_splits", "people", LINKS["identity"], remedy)


def origins(evidence: Evidence) -> Iterable[Finding]:
    """Yields an error when videos cut from one recording are in several splits."""
    remedy = "repair the official split by origin (`dfjax data split`), which moves few videos"
    yield from _across(evidence, "origin_across_splits", "recordings", LINKS["origin"], remedy)


def videos(evidence: Evidence) -> Iterable[Finding]:
    """Yields an error when a file, or a real video and its fake, are in several splits."""
    remedy = "leave out copies and split again by group (`dfjax data split`)"
    code = "video_across_splits"

    def find(index: pd.DataFrame) -> Keys:
        rows, values = zip(LINKS["pair"](index), known(index, "sha256"), _content(evidence))
        return np.concatenate(rows), np.concatenate(values)

    yield from _across(evidence, code, "videos (by hash, or as original of a fake)", find, remedy)


def groups(evidence: Evidence) -> Iterable[Finding]:
    """Yields an error when a `group` is in several splits and no other rule explains it."""
    index = evidence.index
    told = {
        video
        for rule in (identities, origins, videos)
        for finding in rule(evidence)
        for video in finding["ids"]
    }
    mine = index["video_id"].isin(told)
    explained = set(index["group"][mine])

    def find(index: pd.DataFrame) -> Keys:
        rows, values = LINKS["group"](index)
        kept = np.array([value not in explained for value in values], bool)
        return rows[kept], values[kept]

    remedy = "split again by group (`dfjax data split`)"
    yield from _across(evidence, "group_across_splits", "groups", find, remedy)


def label_conflicts(evidence: Evidence) -> Iterable[Finding]:
    """Yields an error when the same file is labelled both real and fake."""
    index = evidence.index
    rows, keys = zip(known(index, "sha256"), _content(evidence), _places(index))
    table = pd.DataFrame({"row": np.concatenate(rows), "key": np.concatenate(keys)})
    table["label"] = index["label"].to_numpy()[table["row"]]
    table = table[table.groupby("key")["label"].transform("nunique") > 1]
    if len(table):
        ids = index["video_id"].iloc[np.unique(table["row"])]
        message = (
            f"{table['key'].nunique()} files are labelled both real and fake: {name_some(ids)}; "
            "one of the labels is wrong"
        )
        yield make_finding("label_conflict", "error", message, ids)


def copies(evidence: Evidence) -> Iterable[Finding]:
    """Yields a warning when a file is listed several times within a split."""
    index = evidence.index
    same = index["sha256"].notna() & index.duplicated(["sha256", "label", "split"], keep=False)
    if same.any():
        ids = index["video_id"][same]
        message = f"{same.sum()} videos are copies of another in the same split: {name_some(ids)}"
        yield make_finding("duplicate_file", "warning", message, ids)


def _across(
    evidence: Evidence, code: str, what: str, find: Callable[[pd.DataFrame], Keys], remedy: str
) -> Iterable[Finding]:
    index = evidence.index
    rows, keys = find(index)
    table = pd.DataFrame({"row": rows, "key": keys})
    table["split"] = index["split"].to_numpy()[table["row"]]
    table = table[table["split"].isin(PARTS)].drop_duplicates(["key", "row"])
    table = table[table.groupby("key")["split"].transform("nunique") > 1]
    if not len(table):
        return
    sides = table.groupby("key")["split"].agg(lambda s: "/".join(p for p in PARTS if p in set(s)))
    counts = ", ".join(f"{pair} {n}" for pair, n in sides.value_counts().items())
    ids = index["video_id"].iloc[np.unique(table["row"])]
    message = (
        f"{what} in more than one split: {len(sides)} ({counts}), in {len(ids)} videos: "
        f"{name_some(sides.index)}; {remedy}"
    )
    yield make_finding(code, "error", message, ids)


def _content(evidence: Evidence) -> Keys:
    """Returns the hashes of the crops of videos whose file was never hashed."""
    faces = evidence.faces
    if faces is None:
        return np.zeros(0, np.int64), np.zeros(0, object)
    unknown = evidence.index["sha256"].isna().to_numpy()[faces.row]
    return faces.row[unknown], np.asarray(faces.content, object)[unknown]


def _places(index: pd.DataFrame) -> Keys:
    rows = np.flatnonzero(index["path"].notna())
    place = index["root"].fillna("").astype(str) + "/" + index["path"].fillna("").astype(str)
    return rows, place.to_numpy(object)[rows]

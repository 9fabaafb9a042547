"""The gap between two numbers: exact shares on planted cases, and sums that are the whole gap."""

import json

import numpy as np
import pandas as pd
import pytest

from dfjax.commands.main import main
from dfjax.errors import UsageError
from dfjax.evaluation.conventions.convention import (
    Convention,
    describe_convention,
    parse_convention,
)
from dfjax.evaluation.conventions.gap import explain_gap, find_conventions
from dfjax.evaluation.conventions.gap_tables import explain_numbers
from dfjax.evaluation.conventions.scored_rows import Scored


def table(*videos, dataset="d"):
    """Frames of (video_id, label, scores)."""
    rows = [
        (dataset, name, "frame", place, 0, label, score)
        for name, label, scores in videos
        for place, score in enumerate(scores)
    ]
    columns = ["dataset", "video_id", "unit", "position", "face", "label", "fake_prob"]
    return pd.DataFrame(rows, columns=columns)


PLANTED = {
    # 0.5 against 0.4, and of the frames 0.9, 0.1 against 0.4: half of the pairs
    "unit": (table(("f", 1, [0.9, 0.1]), ("r", 0, [0.4])), "unit", "frame", 1.0, 0.5),
    # 0.6 against 0.5; the first frame alone 0.3
    "first": (table(("f", 1, [0.3, 0.9]), ("r", 0, [0.5])), "first", 1, 1.0, 0.0),
    # fakes 0.3 and 0.9 against 0.5: half; the mean of both is above it
    "pooled": (
        table(("A/1", 1, [0.3]), ("B/1", 1, [0.9]), ("0", 0, [0.5])), "pooled", True, 0.5, 1.0
    ),
    # the fake's second frame is missing: 0.3 against 0.35; with 0.5 for it 0.4
    "failed": (table(("f", 1, [0.3, np.nan]), ("r", 0, [0.35])), "failed", "half", 0.0, 1.0),
}  # fmt: skip


@pytest.mark.parametrize("case", PLANTED)
def test_one_planted_cause_is_the_whole_gap(case):
    rows, name, value, before, after = PLANTED[case]
    gap = explain_gap(Scored(rows), Convention(), Convention(**{name: value}))
    assert (gap.value_a, gap.value_b) == (before, after)
    (cause,) = gap.causes
    assert cause.name == name and abs(cause.share - (after - before)) < 1e-12
    assert cause.share == cause.alone


def test_the_rule_of_the_eer():
    rows = table(*((f"f{n}", 1, [s]) for n, s in enumerate((0.2, 0.6, 0.8))),
                 *((f"r{n}", 0, [s]) for n, s in enumerate((0.1, 0.3, 0.5, 0.7))))  # fmt: skip
    # Nearest: from 0.6 on FPR 1/4 and FNR 1/3. Interpolated: FNR stays 1/3 from FPR 1/4 to 1/2.
    gap = explain_gap(Scored(rows), Convention("eer"), Convention("eer", eer="nearest"))
    assert gap.value_a == pytest.approx(1 / 3, abs=1e-12) and gap.value_b == 0.25
    assert [c.name for c in gap.causes] == ["eer"]
    assert abs(gap.causes[0].share + 1 / 12) < 1e-12


def test_the_choice_of_the_checkpoint():
    rows = table(*((f"v{n}", n % 2, [0.0]) for n in range(8))).assign(
        a=[0.1, 0.9] * 2 + [0.8, 0.2, 0.1, 0.9], b=[0.9, 0.1, 0.1, 0.9] + [0.1, 0.9] * 2
    )
    validation = np.arange(8) < 4
    scored = Scored(rows, ("a", "b"), selected=~validation, validation=validation)
    gap = explain_gap(scored, Convention(), Convention(chosen="test"))
    assert [(c.name, c.share) for c in gap.causes] == [("chosen", 0.25)]


def test_checkpoints_without_a_number_are_not_chosen():
    rows = table(*((f"v{n}", n % 2, [0.0]) for n in range(4))).assign(
        a=np.nan, b=[0.1, 0.9, 0.2, 0.8]
    )
    fakes = np.array([False, True, False, True])
    scored = Scored(rows, ("a", "b"), validation=fakes)
    assert scored.measure(Convention(chosen="test")) == 1.0
    assert np.isnan(scored.measure(Convention(chosen="val")))  # one class cannot be ranked
    with pytest.raises(UsageError, match="is undefined: a class is missing"):
        explain_gap(scored, Convention(), Convention(chosen="test"))


def test_scores_of_checkpoints_must_be_numbers():
    rows = table(("f", 1, [0.9]), ("r", 0, [0.1])).assign(a=["0,9", "0,1"], b=[0.9, 0.1])
    with pytest.raises(UsageError, match="column a has values that are not numbers"):
        explain_numbers("video_auc", "frame_auc", [rows], scores="[ab]")


def independent():
    """Two data sets' worth of causes that do not meet: pooling in one folder, frames in another."""
    return table(
        ("A/1", 1, [0.3]), ("B/1", 1, [0.9]), ("f", 1, [0.52, 0.52]), ("r", 0, [0.5]),
        ("s", 0, [0.0, np.nan]),
    )  # fmt: skip


def test_two_planted_causes_that_do_not_meet_have_their_own_shares():
    scored = Scored(independent())
    b = Convention(pooled=True, failed="half")
    gap = explain_gap(scored, Convention(), b)
    alone = {
        name: scored.measure(Convention(**{name: getattr(b, name)})) - gap.value_a
        for name in ("pooled", "failed")
    }
    # Fakes 0.3, 0.9, 0.52 against 0.5 and 0: 5/6; pooled 0.6, 0.52: 1; 0.25 for 0 changes nothing.
    assert alone == {"pooled": pytest.approx(1 / 6, abs=1e-12), "failed": 0.0}
    for cause in gap.causes:
        assert abs(cause.share - alone[cause.name]) < 1e-12


@pytest.mark.parametrize("seed", range(5))
def test_shares_add_up_whatever_the_conventions_do_together(seed):
    rng = np.random.default_rng(seed)
    names = [f"{'ABCD'[k % 4]}/{k // 4 if k < 40 else k}" for k in range(60)]
    rows = table(
        *(
            (name, int(k < 40), rng.normal(0.4 + 0.1 * (k < 40), 0.3, 6))
            for k, name in enumerate(names)
        )
    )
    rows["fake_prob"] = rows["fake_prob"].clip(0, 1)
    rows.loc[rng.choice(len(rows), 20, replace=False), "fake_prob"] = np.nan
    b = Convention("eer", "video", 3, True, "first", "nearest")
    gap = explain_gap(Scored(rows), Convention("eer"), b)
    assert {c.name for c in gap.causes} == {"first", "pooled", "failed", "eer"}
    assert abs(sum(c.share for c in gap.causes) - gap.gap) < 1e-12


def test_conventions_are_written_and_read():
    for one in (
        Convention(),
        Convention("eer", "frame", 8, False, "half", "nearest", "test"),
        Convention(pooled=True, first=32),
    ):
        assert parse_convention(describe_convention(one)) == one
    assert describe_convention(Convention(pooled=True, first=32)) == "video_auc:first=32,pooled"
    for text, message in (
        ("clip_auc", "unknown unit 'clip'"),
        ("video_f1", "unknown metric 'f1'"),
        ("video_auc:frames=3", "unknown choice 'frames'"),
        ("video_auc:first=x", "first needs a number"),
        ("video_auc:failed", "failed needs a value"),
        ("video_auc:first=0", "first must be at least 1"),
        ("video_auc:pooled=false", "unknown value of pooled 'false'"),
    ):
        with pytest.raises(UsageError, match=message):
            parse_convention(text)


def test_published_numbers_are_found(tmp_path):
    rows = PLANTED["pooled"][0]
    found = find_conventions(Scored(rows), 1.0, 3)
    assert Convention(pooled=True) in found and Convention() not in found
    # One frame for each video, and no missing score: other choices would change nothing.
    assert {(one.unit, one.first, one.failed) for one in found} == {("video", None, "drop")}
    gap = explain_numbers("0.500", "1.000", [rows])
    assert gap.a == Convention() and gap.value_b == 1.0
    assert not gap.notes
    several = explain_numbers("video_auc", "0.0", [PLANTED["first"][0]])
    assert several.notes == ("0.0 was read as video_auc:first=1; these give it too: video_eer",)
    with pytest.raises(
        UsageError, match=r"no convention gives 0.423 .* nearest is 0.5000 \(video_"
    ):
        explain_numbers("0.423", "video_auc", [rows])
    with pytest.raises(UsageError, match=r"in \[0, 1\], not 89.4; write 89.4 percent as 0.894"):
        explain_numbers("89.4", "video_auc", [rows])


def test_the_verb_explains_a_file(tmp_path, capsys):
    PLANTED["pooled"][0].to_csv(tmp_path / "s.csv", index=False)
    arguments = ["why", "video_auc", "video_auc:pooled", "--predictions", str(tmp_path / "s.csv")]
    assert main([*arguments, "--json"]) == 0
    lines = capsys.readouterr().out.splitlines()
    printed = json.loads(lines[-1])
    assert printed["gap"] == 0.5 and printed["causes"][0]["name"] == "pooled"
    assert "gap: +0.500000" in lines
    assert "| videos pooled by folder name | no | yes | 0.5000 | 0.5000 |" in lines
    assert main(["why", "video_auc", "clip_auc", "--predictions", str(tmp_path / "s.csv")]) == 2


def test_checkpoints_of_a_wide_file(tmp_path):
    rows = pd.DataFrame(
        {"video_id": [f"v{n}" for n in range(8)], "label": [0, 1] * 4}
        | {"split": ["val"] * 4 + ["test"] * 4}
        | {"epoch_1": [10, 90] * 2 + [80, 20, 10, 90], "epoch_2": [90, 10, 10, 90] + [10, 90] * 2}
    )
    rows.to_csv(tmp_path / "epochs.csv", index=False)
    arguments = ["video_auc", "video_auc:chosen=test", "--scores", "epoch_*", "--scale", "percent"]
    assert main(["why", *arguments, "--predictions", str(tmp_path / "epochs.csv")]) == 0

"""A workdir that was never trained: its config, history, data, audit and evaluations."""

import numpy as np
import pandas as pd
import pytest

from dfjax.config import load_config
from dfjax.data.index.records import read_index
from dfjax.data.store.pack import pack
from dfjax.data.synthetic import generate
from dfjax.evaluation.metrics.uncertainty import MEASURES
from dfjax.evaluation.report.metrics_json import Context, make_metrics
from dfjax.evaluation.report.result_files import write_results
from dfjax.experiment.data_audit import audit_data
from dfjax.experiment.workdir import prepare_workdir

HOSTILE = '<script src="http://example.org/x.js"></script>\u202e"\'&'


@pytest.fixture(scope="package")
def workdir(tmp_path_factory):
    """Every second fake has a manipulation whose name is markup; one video is not in the data."""
    folder = tmp_path_factory.mktemp("report") / "run"
    config = load_config("meso4:smoke")
    made = folder / "data" / "synthetic"
    generate(made, videos=16, identities=8, frames=2, size=64, workers=1)
    pack(made / "index.parquet", folder / "data" / "pack")
    index = read_index(folder / "data" / "pack" / "index.parquet")
    prepare_workdir(folder, config)
    audit_data(folder / "data" / "pack", folder)
    rows = (
        "epoch,step,train_loss,train_accuracy,val_loss,val_video_auc,learning_rate,seconds,best\n"
    )
    rows += "1,2,0.7,0.5,0.69,0.5,0.001,1,1\n2,4,0.6,0.7,0.66,0.8,0.0001,2,1\n"
    (folder / "history.csv").write_text(rows)
    for split, seed in (("test", 0), ("val", 1)):
        write_evaluation(folder / "eval" / split, index, split, seed)
    return folder


def write_evaluation(out, index, split, seed):
    index = pd.concat([index, index.iloc[:2].assign(video_id=[f"{HOSTILE}{n}" for n in range(2)])])
    rng = np.random.default_rng(seed)
    labels = index["label"].to_numpy()
    method = index["method"].where(
        labels == 0, np.where(np.arange(len(labels)) % 4 < 2, HOSTILE, "warp")
    )
    probs = np.clip(rng.normal(0.3 + 0.4 * labels, 0.25), 0.01, 0.99)
    doubts = dict.fromkeys(MEASURES, rng.uniform(0, 0.3, len(labels)))
    columns = {
        "dataset": "synthetic", "video_id": index["video_id"].to_numpy(), "unit": "clip",
        "position": 0, "face": 0, "label": labels, "method": method.to_numpy(),
        "logit": np.log(probs / (1 - probs)), "fake_prob": probs, "split": split, **doubts,
    }  # fmt: skip
    table = pd.DataFrame(columns)
    flag = {"code": "leak", "severity": "warning", "message": HOSTILE, "ids": [HOSTILE] * 50}
    known = Context(
        heldout_methods=("warp",), checkpoint="best/4", split=split, flags=[flag], index=index
    )
    write_results(out, table, make_metrics(table, known, resamples=20), known, title="")

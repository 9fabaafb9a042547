"""The classifier of a detector in plain NumPy."""

import numpy as np


def classify(params, x):
    """Returns the logits of features [*n, d] by the layers `classifier_hidden1` …, no dropout."""
    number = 1
    while f"classifier_hidden{number}" in params:
        layer = params[f"classifier_hidden{number}"]
        x = np.maximum(x @ np.asarray(layer["kernel"]) + layer["bias"], 0)
        number += 1
    last = params["classifier_logit"]
    return (x @ np.asarray(last["kernel"]) + last["bias"])[..., 0]


def assert_frame_logits(params, outputs, mask):
    """Asserts that `frame_logits` are the classifier on `frame_features`, 0 outside the mask."""
    expected = np.where(mask, classify(params, np.asarray(outputs["frame_features"])), 0)
    np.testing.assert_allclose(outputs["frame_logits"], expected, atol=1e-5)

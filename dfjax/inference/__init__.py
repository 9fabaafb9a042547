"""Loads trained detectors; scores, evaluates and exports them; traces what they were trained on."""

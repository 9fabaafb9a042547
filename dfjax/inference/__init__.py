"""Loading, scoring, evaluating and exporting trained detectors, and finding their training data."""

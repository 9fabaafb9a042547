"""Several runs and their comparison: cross-validation and ablations."""

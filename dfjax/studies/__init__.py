"""Studies that compare several runs: cross-validation, ablations and protocols."""

"""Studies that compare several runs: cross-validation and ablations."""

"""Runs of a config: building its parts, opening and checking its data, training."""

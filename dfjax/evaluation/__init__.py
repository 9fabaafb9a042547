"""Scores of clips, metrics of scores, and checks of the metrics."""

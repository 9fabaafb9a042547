"""Scoring of clips, metrics of scores, checks of metrics, and reports."""

"""Calibrated probabilities, and verdicts whose error rates are guaranteed."""

"""Paired differences between detectors."""

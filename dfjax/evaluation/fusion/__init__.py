"""Rules that combine the scores of several detectors."""

"""Statistics of weighted scores: ROC curves, bootstrap intervals, tests of differences."""

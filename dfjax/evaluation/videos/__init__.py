"""Rows become videos: their scores, the clusters that are resampled, the subsets measured."""

"""Stored frames to batches: which frames make a clip, which clips make a batch."""

"""Turns stored frames into batches: samples the frames of clips and the clips of batches."""

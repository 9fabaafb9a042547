"""Turns videos into batches: index, face crops, packs, clips, and preprocessing on the device."""

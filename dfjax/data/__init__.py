"""Videos to batches: index, face crops, packs, clips, and their preprocessing on the device."""

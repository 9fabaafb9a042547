"""Writes trained detectors to the file formats of other tools; see `formats.FORMATS`."""

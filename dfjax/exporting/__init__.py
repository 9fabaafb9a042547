"""Export of trained detectors to file formats; see `formats.FORMATS`."""

"""The index of videos: records, data-set adapters, splits and the audit."""

"""Videos to face crops: decoding, face detection, tracking, alignment, quality."""

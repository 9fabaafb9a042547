"""Turns videos into face crops: decoding, face detection, tracking, alignment and quality."""

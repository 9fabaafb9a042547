"""Restores the faces of videos and images with a generator and writes marked files."""

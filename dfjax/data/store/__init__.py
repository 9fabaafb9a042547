"""Stores crops, optical flow and features on disk: packs and their readers."""

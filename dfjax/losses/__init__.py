"""Losses as functions that return one value per clip, and their weighted mean."""

"""Losses as plain functions: unreduced values per clip, weighted and averaged once."""

"""Reads, writes and merges the parameters of models (safetensors files)."""

"""Benchmarks of speed and memory: models, reading and augmentation, and PyTorch equivalents."""

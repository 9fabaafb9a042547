"""Measures speed and memory of workloads, reading and augmentation, also beside PyTorch peers."""

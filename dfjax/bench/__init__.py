"""Speed and memory: workloads, reading, augmentation, and PyTorch peers."""

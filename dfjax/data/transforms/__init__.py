"""What happens to a batch on the device: preprocessing, augmentation, mixing, self-blending."""

"""Transforms batches on the device: preprocessing, augmentation, mixing and self-blending."""

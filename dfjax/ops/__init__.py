"""Numerical primitives for images and feature maps, with a lowering for each kind of backend."""

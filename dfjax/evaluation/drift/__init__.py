"""Differences between the distributions of two sets of inputs."""

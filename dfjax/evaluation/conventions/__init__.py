"""Conventions of published numbers: the benchmark's protocol, and the causes of a gap."""

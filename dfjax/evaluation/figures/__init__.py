"""Figures and pages of figures."""

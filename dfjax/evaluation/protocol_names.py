"""Names of protocols and of formats of scores, which need no other module."""

STRICT, COMPAT = "strict", "deepfakebench-compat"
PROTOCOLS = (STRICT, COMPAT)

FORMATS = ("dfwb", "deepfakebench")
"""Formats of other programs that predictions are written in."""

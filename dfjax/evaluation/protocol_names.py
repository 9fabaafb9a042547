"""Names of the protocols of an evaluation, which need no other module."""

STRICT, COMPAT = "strict", "deepfakebench-compat"
PROTOCOLS = (STRICT, COMPAT)

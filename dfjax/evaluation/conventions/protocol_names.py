"""Names of the protocols, which need no other module."""

STRICT, COMPAT = "strict", "deepfakebench-compat"
PROTOCOLS = (STRICT, COMPAT)

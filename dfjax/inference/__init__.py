"""A workdir becomes scores: load, ensemble, predict, evaluate, provenance."""

"""Programs of models run once or twice, so they are compiled without most optimisations."""

import pytest


@pytest.fixture(scope="module", autouse=True)
def without_optimisations(compiled_quickly):
    """Compiles the programs of every file of this folder quickly."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def builds(request: pytest.FixtureRequest) -> Path:
    """Where simulations are kept, by content: an unchanged unit is not compiled again."""
    cache = request.config.cache
    assert cache is not None
    return Path(cache.mkdir("hwc-simulations"))

"""Schemas are read once: each holds a megabyte, and every object is checked against several."""

from functools import lru_cache

import pytest
from kubernetes_validate import utils


@pytest.fixture(autouse=True, scope="session")
def schemas_are_read_once():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(utils, "schema_contents", lru_cache(utils.schema_contents))
        yield

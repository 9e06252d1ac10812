"""Layers and homes of packages are kept by import-linter; this is the one thing that it does not see."""

from pathlib import Path

import pytest

import components
import flows
import models

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("package", [flows, components, models])
def test_the_generic_names_resolve_inside_the_repository(package):
    assert Path(package.__file__).is_relative_to(ROOT)

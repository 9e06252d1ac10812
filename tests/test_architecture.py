"""One home per third-party package; the layers themselves are kept by import-linter."""

import ast
from pathlib import Path

import pytest

import components
import flows
import models

ROOT = Path(__file__).resolve().parent.parent
HOMES = {
    "boto3": ["components/backends/storage.py"],
    "botocore": ["components/backends/storage.py"],
    "pyarrow": ["components/backends/manifest.py"],
    "duckdb": ["components/backends/manifest.py"],
    "dvc": ["components/backends/versioning.py"],
    "great_expectations": ["components/backends/contracts.py"],
    "mlflow": ["components/backends/registry.py", "components/backends/tracking.py", "components/register/model.py"],
    "sqlalchemy": ["components/backends/state.py"],
    "pyiqa": ["components/imaging/iqa.py"],
    "PIL": ["components/imaging/codec/"],
    "deepspeed": ["components/train/"],
    "prefect": ["flows/"],
    "typer": ["flows/__main__.py"],
    "cv2": ["components/imaging/", "components/backends/report.py"],
    "numba": ["components/imaging/"],
    "diffusers": ["models/"],
    "transformers": ["models/", "components/train/"],
}


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name.partition(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.partition(".")[0]


@pytest.mark.parametrize("package", sorted(HOMES))
def test_a_third_party_package_has_one_home(package):
    files = [path for top in ("flows", "components", "models") for path in sorted((ROOT / top).rglob("*.py"))]
    strangers = [
        path.relative_to(ROOT).as_posix()
        for path in files
        if package in imported(path) and not path.relative_to(ROOT).as_posix().startswith(tuple(HOMES[package]))
    ]
    assert strangers == []


@pytest.mark.parametrize("package", [flows, components, models])
def test_the_generic_names_resolve_inside_the_repository(package):
    assert Path(package.__file__).is_relative_to(ROOT)

"""Registration: an evaluated run -> a model version that carries code, weights, card and lineage."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from components.backends.registry import CHALLENGER, Package, save_package
from components.backends.storage import Storage, file_sha256
from components.backends.tracking import Tracker
from components.errors import RegistryError, WeightsError
from components.imaging import codec
from components.records import EvalReport, ModelVersion, TrainRun, content_hash
from components.register.card import brief, model_card
from components.register.description import cost, describe, tags
from components.register.names import ADAPTER, BUNDLE
from components.register.request import PARAMETERS
from components.register.settings import RegisterSettings
from models.bundle import hashes

OPERATOR = "register-3"
REPOSITORY = Path(__file__).resolve().parents[2]
CODE = ("components", "models")
NOT_CODE = ("__pycache__", "*.pyc", "*.safetensors", "*.partial", "tiny", ".*")
"""What lies among the code and does not travel with it; the weights do so as artifacts."""
SCRIPT = Path(__file__).with_name("model.py")
REQUIREMENTS = (
    "mlflow", "torch", "diffusers", "transformers", "safetensors", "numpy", "pandas", "pillow",
    "opencv-python-headless", "pydantic", "spandrel",
)  # fmt: skip
"""Distributions that the served code imports."""


def register_run(
    tracker: Tracker,
    run: TrainRun,
    report: EvalReport,
    settings: RegisterSettings,
    *,
    base: Path,
    store: Storage,
    git_revision: str,
) -> ModelVersion:
    """Make a run a model version with alias `challenger`; the same run and report give the same version.

    Args:
        tracker: the registry.
        run: what was trained.
        report: its evaluation; the version samples as it did.
        settings: name and licences.
        base: bundle directory of the frozen parts that the run was trained on.
        store: holds the adapter and the manifests.
        git_revision: revision of the program.

    Raises:
        RegistryError: the report is of another checkpoint, or the registry is away.
        WeightsError: bundle or adapter are not the ones that the run names.
    """
    if report.checkpoint_sha256 != run.checkpoint_sha256:
        raise RegistryError(
            f"Expected a report on checkpoint {run.checkpoint_sha256[:12]}, got one on {report.checkpoint_sha256[:12]}. "
            f"Evaluate this run: lucidflux evaluate run:{run.run_id}"
        )
    _name_data(tracker, run, report)
    key = content_hash(OPERATOR, run, report, settings.model, settings.base_licence, settings.scoring_licence, settings.serving)
    if (found := tracker.find(settings.model, key)) is not None:
        tracker.set_alias(found.name, CHALLENGER, found.version)
        return found.model_copy(update={"alias": CHALLENGER})
    facts, images = describe(run, report, settings, store=store, git_revision=git_revision)
    facts["cost"] = cost(tracker, run, report, base)
    card = model_card(run, report, settings, facts)
    files = {
        "card.md": card,
        "lineage.json": json.dumps(facts, indent=1, sort_keys=True),
        "training_images.json": json.dumps(images),
    }
    with TemporaryDirectory() as scratch:
        config = {**report.sampler, **settings.serving.model_dump()}
        package = _package(Path(scratch), run, config, base=base, store=store, files=files)
        folder = save_package(package, Path(scratch) / "model")
        return tracker.register(
            settings.model, folder, key=key, run_id=run.run_id, tags=tags(facts), card=brief(card), licence=settings.base_licence
        )


def _name_data(tracker: Tracker, run: TrainRun, report: EvalReport) -> None:
    """Make the curation whose held-out pictures were scored an input of the run, beside the data that it was trained on."""
    curated = report.scores.parent
    place = f"manifests/images/{curated}.parquet"
    tracker.log_input(run.run_id, name="held out", digest=curated, source=place, context="evaluation")


def _package(
    scratch: Path, run: TrainRun, config: Mapping[str, Any], *, base: Path, store: Storage, files: Mapping[str, str]
) -> Package:
    """Collect code and weights under fixed names."""
    for name in CODE:
        shutil.copytree(REPOSITORY / name, scratch / "code" / name, ignore=shutil.ignore_patterns(*NOT_CODE))
    _collect_weights(scratch / BUNDLE, run, base=base, store=store)
    gradient = np.linspace(0, 255, 32 * 32 * 3).reshape(32, 32, 3).astype(np.uint8)
    return Package(
        script=SCRIPT,
        code=[scratch / "code" / name for name in CODE],
        artifacts={BUNDLE: scratch / BUNDLE},
        config=config,
        parameters=PARAMETERS,
        requirements=[f"{name}=={importlib.metadata.version(name).partition('+')[0]}" for name in REQUIREMENTS],
        example=codec.encode_png(gradient),
        files=files,
    )


def _collect_weights(folder: Path, run: TrainRun, *, base: Path, store: Storage) -> None:
    """Link the frozen parts and the adapter into one folder, after comparing them with the run."""
    try:
        found = hashes(base)
    except ValueError as error:
        raise WeightsError(str(error)) from error
    if changed := sorted(name for name, digest in run.base.items() if found.get(name) != digest):
        raise WeightsError(
            f"Run {run.run_id} was trained on other frozen parts than {base} holds now (changed: {', '.join(changed)}). "
            "Register it with the parts that it was trained on, or train again."
        )
    adapter = store.fetch(run.checkpoint)
    if file_sha256(adapter) != run.checkpoint_sha256:
        raise WeightsError(f"The adapter {run.checkpoint} is not the one that run {run.run_id} left. Train again.")
    folder.mkdir()
    for source, name in [*((base / name, name) for name in found), (adapter, ADAPTER)]:
        try:
            # MLflow follows no symbolic links
            (folder / name).hardlink_to(source.resolve())
        except OSError:
            shutil.copyfile(source, folder / name)

"""What this machine has, what is missing and how to get it."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import TYPE_CHECKING

from components.imaging.sampler import SamplerSettings
from components.records import Record
from flows.workspace import Workspace

if TYPE_CHECKING:
    from models.config import NetworkConfig

PACKAGES = ("prefect", "mlflow", "dvc", "torch", "deepspeed", "diffusers", "pyiqa", "boto3", "great-expectations")
NEEDED_GIB = 5
GIB = 2**30
CUDA_BYTES = GIB
"""Of a device that the driver and the work spaces of its libraries take beside what is estimated."""
PORTS = {"Prefect": 4200, "MLflow": 5000}
SECONDS = 2.0


class Finding(Record):
    """One thing that was looked at."""

    what: str
    state: str
    """`ok`, `note` (works without) or `missing` (something will fail)."""
    said: str


class Diagnosis(Record):
    """Everything that was looked at."""

    findings: tuple[Finding, ...]

    @property
    def healthy(self) -> bool:
        """Nothing is missing that the chosen profile needs."""
        return all(finding.state != "missing" for finding in self.findings)

    def text(self) -> str:
        """A line for each finding."""
        return "\n".join(f"{finding.state:8}{finding.what:20}{finding.said}" for finding in self.findings)


def examine(workspace: Workspace) -> Diagnosis:
    """Look at versions, compiler, GPU, disk, weights, ports and servers; changes nothing."""
    machine = (_python(), _packages(), _tools(), _gpu(), _memory(workspace), _disk(workspace))
    looks = (*machine, _weights(workspace), _ports(), _servers(workspace))
    return Diagnosis(findings=tuple(finding for look in looks for finding in look))


def _python() -> Iterator[Finding]:
    version = ".".join(str(part) for part in sys.version_info[:3])
    locked = sys.version_info[:2] == (3, 11)
    said = version if locked else f"{version}; the lock is for 3.11: set PYTHON=python3.11 and run make"
    yield Finding(what="python", state="ok" if locked else "note", said=said)


def _packages() -> Iterator[Finding]:
    for name in PACKAGES:
        try:
            yield Finding(what=name, state="ok", said=importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            yield Finding(what=name, state="missing", said="not installed; run make")


def _tools() -> Iterator[Finding]:
    compiler = shutil.which("c++")
    yield Finding(
        what="c++ compiler",
        state="ok" if compiler else "note",
        said=compiler or "torch.compile and DeepSpeed's GPU operators need one; Debian: apt-get install g++",
    )
    git = shutil.which("git")
    yield Finding(what="git", state="ok" if git else "note", said=git or "revisions are not recorded; apt-get install git")


def _gpu() -> Iterator[Finding]:
    import torch

    if torch.cuda.is_available():
        name, total = torch.cuda.get_device_name(0), torch.cuda.get_device_properties(0).total_memory / 2**30
        yield Finding(what="gpu", state="ok", said=f"{torch.cuda.device_count()} x {name}, {total:.0f} GiB")
    else:
        yield Finding(what="gpu", state="note", said="none; the processor computes")


def _memory(workspace: Workspace) -> Iterator[Finding]:
    """Which memory mode fits, with the sizes of the profile's base or, where it is not there yet, the released ones."""
    import psutil
    import torch

    from models.config import NetworkConfig
    from models.footprint import ON_PROCESSOR, estimate

    sampler, folder = workspace.profile.sampler, workspace.profile.base_folder
    try:
        config, named = NetworkConfig.load(folder), folder.name
    except ValueError:
        config, named = NetworkConfig(), "the released network"
    job = f"{named} at {sampler.tile_px} px"
    for index in range(torch.cuda.device_count()):
        free = torch.cuda.mem_get_info(index)[0]
        yield _mode(f"memory cuda:{index}", job, config, sampler, free)
    if not torch.cuda.is_available():
        sides = {"height_px": sampler.tile_px, "width_px": sampler.tile_px, "codec_px": sampler.codec_tile_px}
        needed = estimate(config, "full", **sides, precision=ON_PROCESSOR, steps=sampler.steps).peak.total
        free = psutil.virtual_memory().available
        said = f"no CUDA device: {job} runs on the processor in mode full, needs about {_gib(needed)}, {_gib(free)} are free"
        yield Finding(what="memory", state="ok" if needed <= free else "note", said=said)


def _mode(what: str, job: str, config: NetworkConfig, sampler: SamplerSettings, free: int) -> Finding:
    """The mode that fits a device and changes nothing, and one that changes results but moves fewer weights."""
    from models.footprint import fitting

    sides, codec_px = (sampler.tile_px, sampler.tile_px), sampler.codec_tile_px
    fits = [fitting(config, free - CUDA_BYTES, *sides, codec_px=codec_px, exact_only=exact) for exact in (True, False)]
    modes = [f"mode {found.text()}" for found in fits if found is not None]
    if not modes:
        return Finding(what=what, state="note", said=f"{job} fits in no mode into {_gib(free)}; set a smaller sampler.tile_px")
    said = f"{job} fits into {_gib(free)}: {modes[0]}"
    other = f"; moving fewer weights, with changed results: {modes[1]}" if modes[1:] != modes[:1] else ""
    return Finding(what=what, state="ok", said=said + other)


def _gib(size: int) -> str:
    return f"{size / GIB:.2g} GiB" if size < 10 * GIB else f"{size / GIB:.0f} GiB"


def _disk(workspace: Workspace) -> Iterator[Finding]:
    free = shutil.disk_usage(workspace.home).free / 2**30
    said = f"{free:.0f} GiB free at {workspace.home}"
    yield Finding(what="disk", state="ok" if free >= NEEDED_GIB else "missing", said=f"{said}; {NEEDED_GIB} GiB are needed")


def _weights(workspace: Workspace) -> Iterator[Finding]:
    from models import bundle

    folder = workspace.profile.base_folder
    try:
        count = len(bundle.hashes(folder))
        bundle.load_frozen(folder)
    except ValueError as error:
        said = f"{error} Or set base=FOLDER to where the frozen parts of this profile are."
        yield Finding(what="weights", state="missing", said=said)
        return
    megabytes = sum(path.stat().st_size for path in folder.glob("*.safetensors")) / 1e6
    yield Finding(what="weights", state="ok", said=f"{folder}: {count} files, {megabytes:.1f} MB, all load")


def _ports() -> Iterator[Finding]:
    for name, port in PORTS.items():
        with socket.socket() as probe:
            probe.settimeout(SECONDS)
            taken = probe.connect_ex(("127.0.0.1", port)) == 0
        said = "in use; give the server another --port" if taken else "free"
        yield Finding(what=f"port {port}", state="note" if taken else "ok", said=f"{said} ({name}'s page)")


def _servers(workspace: Workspace) -> Iterator[Finding]:
    backend = workspace.profile.backend
    prefect = os.environ.get("PREFECT_API_URL", "")
    yield _server(
        "Prefect server", f"{prefect}/health" if prefect else "", "embedded in each command; PREFECT_API_URL names a shared one"
    )
    remote = backend.mlflow if backend.mlflow.startswith("http") else ""
    yield _server(
        "MLflow server",
        f"{remote}/health" if remote else "",
        f"SQLite in {workspace.home / 'mlflow'}; backend.mlflow names a shared one",
    )


def _server(what: str, url: str, without: str) -> Finding:
    if not url:
        return Finding(what=what, state="ok", said=without)
    try:
        with urllib.request.urlopen(url, timeout=SECONDS):  # noqa: S310 (the operator's own address)
            return Finding(what=what, state="ok", said=f"answers at {url}")
    except (urllib.error.URLError, OSError, ValueError) as error:
        return Finding(what=what, state="missing", said=f"no answer at {url} ({error}); start it or unset the setting")

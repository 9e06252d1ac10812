"""Flow `register-benchmark`: pictures -> a benchmark that curated datasets are kept clear of."""

from __future__ import annotations

from prefect import flow

from components.backends.history import SHORT
from components.curate.registered import Benchmark, register, registered, require_name
from components.ingest.run import fingerprint
from components.records import Record
from flows import tasks
from flows.layout import columns
from flows.workspace import Workspace, open_workspace


class Benchmarks(Record):
    """Registered benchmarks, or the one that was just registered."""

    benchmarks: tuple[Benchmark, ...]

    def text(self) -> str:
        """A table."""
        if not self.benchmarks:
            return "No benchmark is registered. Do it: lucidflux benchmark add NAME SOURCE..."
        rows = [(one.name, str(one.images.rows), str(one.count), one.images.sha256[:SHORT]) for one in self.benchmarks]
        return columns([("name", "rows", "guarded", "manifest"), *rows])


@flow(name="register-benchmark")
def register_benchmark(
    name: str,
    sources: list[str],
    *,
    replace: bool = False,
    profile: str = "tiny",
    overrides: list[str] | None = None,
    home: str = "",
) -> Benchmarks:
    """Store the pictures of sources and register them; the next curation looks for them.

    Args:
        name: of the benchmark.
        sources: as `ingest` takes them.
        replace: put other pictures under a name that is taken.
        profile: name of a profile.
        overrides: `key=value` settings.
        home: state folder; empty is LUCIDFLUX_HOME or `.lucidflux`.
    """
    require_name(name)
    workspace = open_workspace(profile, overrides, home)
    found, total = fingerprint(sources, workspace.profile.ingest)
    manifest = tasks.run(tasks.ingest_images, workspace, sources, found, total)
    return Benchmarks(benchmarks=(register(workspace.store, name, manifest, replace=replace),))


def listing(workspace: Workspace) -> Benchmarks:
    """Give every registered benchmark."""
    return Benchmarks(benchmarks=tuple(registered(workspace.store)))

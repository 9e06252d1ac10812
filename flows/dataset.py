"""What the verbs `dataset list` and `dataset show` do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from components.backends import history
from components.backends.history import SHORT, Entry
from components.backends.storage import Storage
from components.backends.tables import Tables
from components.records import Curation, Expectations, Record
from flows.layout import columns, flat, size, when
from flows.workspace import Workspace

_SOURCES = """select source, licence, coalesce(trusted, false) as trusted, count(*) as rows,
    count(*) filter (verdict = 'kept') as kept, coalesce(sum(bytes), 0)::bigint as bytes
from rows group by all order by all"""
_FUNNEL = """select case when verdict = 'kept' then verdict else verdict || ':' || reason end as name, count(*) as n
from rows group by name order by name"""
_FORMATS = "select format, count(*) as n from rows where format is not null group by format order by n desc, format"
_SIDES = """select min(side) as least, median(side) as middle, max(side) as most
from (select least(width_px, height_px) as side from rows where width_px is not null)"""


class Listing(Record):
    """Every version and curation of a home, the newest last."""

    entries: tuple[Entry, ...]

    def text(self) -> str:
        """A table."""
        head = ("hash", "name", "state", "rows", "kept", "from", "size", "checks", "settings", "saved")
        rows = [_line(entry) for entry in self.entries]
        if not rows:
            return "There is no dataset version in this home yet. Make one: lucidflux ingest DIR"
        return columns([head, *rows])


class SourceShare(Record):
    """What one source gave, under one licence."""

    source: str | None
    licence: str | None
    trusted: bool
    rows: int
    kept: int
    bytes: int


class Shown(Record):
    """Everything about one version or curation."""

    entry: Entry
    remote: str
    funnel: dict[str, int]
    sources: tuple[SourceShare, ...]
    formats: dict[str, int]
    side_px: tuple[float, float, float] | None
    """Smallest, middle and largest shorter side of the pictures that decode."""
    settings: dict[str, dict[str, object]]
    """By stage; a stage whose settings were not kept is missing."""
    curations: tuple[str, ...]
    """Curated manifests that were made from these rows."""
    pages: dict[str, str]
    """Pages about the entry that its records name, by what they show."""

    def text(self) -> str:
        """A page."""
        entry, manifest = self.entry, self.entry.manifest
        version = entry.version
        lines = [
            f"{version.name} {manifest.sha256[:SHORT]}, {_state(entry)} {when(entry.saved)}: {manifest.rows} rows",
            f"Manifest    {manifest.sha256}",
            f"Version     {_pin(entry)}",
            f"Size        {size(version.bytes)} in {version.files} files",
        ]
        if manifest.parent:
            lines.append(f"Made from   {manifest.parent}")
        lines += [f"Curated as  {hashed}" for hashed in self.curations]
        lines += ["", "Rows", *_indented([(name, str(count)) for name, count in self.funnel.items()])]
        lines += ["", "Sources", *_indented([_share(share) for share in self.sources])]
        lines += ["", f"Formats     {', '.join(f'{name} {count}' for name, count in self.formats.items())}"]
        if self.side_px:
            least, middle, most = self.side_px
            lines.append(f"Shorter side {least:.0f} to {most:.0f} px, half of them {middle:.0f} or more")
        lines += ["", "Checks", *(f"  {line}" for checked in expectations(entry) for line in _checked(checked))]
        for stage, values in self.settings.items():
            lines += ["", f"Settings of {stage}", *_indented([(name, str(value)) for name, value in flat(values).items()])]
        if self.pages:
            lines += ["", "Pages", *_indented(list(self.pages.items()))]
        return "\n".join([*lines, "", *self._next()])

    def _next(self) -> Iterable[str]:
        name = self.entry.manifest.sha256[:SHORT]
        if self.entry.pinned:
            yield f"Pull its files: lucidflux dataset pull {name} --out DIR"
            yield f"For another machine: lucidflux --json dataset show {name} > version.json"
            yield f"  and there: lucidflux --set backend.dvc_remote={self.remote} dataset pull version.json"
        verb = "synthesize" if self.entry.decided else "curate"
        yield f"Next: lucidflux {verb} {name}"


def listing(workspace: Workspace) -> Listing:
    """List what a home knows."""
    return Listing(entries=tuple(history.entries(workspace.store)))


def show(workspace: Workspace, name: str) -> Shown:
    """Look at one version or curation.

    Raises:
        ManifestError: nothing has that name, or its manifest is gone.
    """
    store = workspace.store
    entry = history.find(store, name)
    manifest = entry.manifest
    with Tables(store) as tables:
        tables.manifest("rows", manifest)
        sides = tables.one(_SIDES)
        return Shown(
            entry=entry,
            remote=workspace.remote,
            funnel={row["name"]: row["n"] for row in tables.rows(_FUNNEL)},
            sources=tuple(SourceShare(**row) for row in tables.rows(_SOURCES)),
            formats={row["format"]: row["n"] for row in tables.rows(_FORMATS)},
            side_px=None if sides["least"] is None else (sides["least"], sides["middle"], sides["most"]),
            settings=settings_of(store, entry),
            pages=_pages(store, entry),
            curations=tuple(
                other.manifest.sha256 for other in history.entries(store) if other.manifest.parent == manifest.sha256
            ),
        )


def settings_of(store: Storage, entry: Entry) -> dict[str, dict[str, object]]:
    """Give the settings of each stage that made an entry, where they were kept."""
    made_by = {"ingest": entry.version.manifest.settings} | ({"curate": entry.manifest.settings} if entry.decided else {})
    return {stage: known for stage, key in made_by.items() if (known := history.recall_settings(store, key))}


def expectations(entry: Entry) -> Sequence[Expectations]:
    """Give the checks that the rows went through."""
    made: Curation | None = entry.curation
    return [entry.version.expectations, *([made.before, made.after] if made else [])]


def _pages(store: Storage, entry: Entry) -> dict[str, str]:
    """Take every field that names a page; one in the store gets the store's place."""
    named = {checked.suite: checked for checked in expectations(entry)} | {"curation": entry.curation or entry.version}
    pages = {
        f"{name} {field}": value
        for name, record in named.items()
        for field, value in record
        if isinstance(value, str) and value.endswith(".html")
    }
    return {name: page if "://" in page or page.startswith("/") else f"{store.root}/{page}" for name, page in pages.items()}


def _line(entry: Entry) -> tuple[str, ...]:
    manifest, checks = entry.manifest, expectations(entry)
    return (
        manifest.sha256[:SHORT],
        entry.version.name,
        _state(entry),
        str(manifest.rows),
        str(entry.curation.funnel.get("kept", 0)) if entry.curation else "-",
        manifest.parent[:SHORT] or "-",
        size(entry.version.bytes),
        _outcome(checks),
        manifest.settings[:SHORT] or "-",
        when(entry.saved),
    )


def _outcome(checks: Sequence[Expectations]) -> str:
    overridden = sum(len(checked.overridden) for checked in checks)
    outcome = "passed" if all(checked.passed for checked in checks) else "failed"
    return f"{outcome}, {overridden} let pass" if overridden else outcome


def _state(entry: Entry) -> str:
    return "curated" if entry.decided else "ingested"


def _pin(entry: Entry) -> str:
    """What DVC calls the rows."""
    known = entry.version.dvc_md5
    return known if entry.pinned else f"not pinned; the pictures are in {known}"


def _share(share: SourceShare) -> tuple[str, ...]:
    trust = "trusted" if share.trusted else "not trusted"
    return (
        share.source or "?",
        f"licence {share.licence or '?'}",
        trust,
        f"{share.rows} rows",
        f"{share.kept} kept",
        size(share.bytes),
    )


def _checked(checked: Expectations) -> Iterable[str]:
    outcome = "passed" if checked.passed else "FAILED"
    yield f"{checked.suite}: {outcome}, {checked.evaluated} expectations"
    said = {"": checked.failed, "let pass: ": checked.overridden, "worth a look: ": checked.warned, "skipped: ": checked.skipped}
    yield from (f"  {kind}{sentence}" for kind, sentences in said.items() for sentence in sentences)


def _indented(rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"  {line}" for line in columns(rows).split("\n")] if rows else []

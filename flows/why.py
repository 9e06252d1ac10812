"""What the verb `why` does: find a picture in everything that a home knows, and tell its story."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from components.backends import history, provenance
from components.backends.history import SHORT, Entry
from components.backends.provenance import Row, Uses
from components.backends.storage import Storage, file_sha256
from components.backends.tables import Tables
from components.curate.registered import registered
from components.errors import DecodeError, ManifestError, UnknownName
from components.imaging import codec, iqa, phash
from components.records import Record
from flows.account import Account, used
from flows.layout import when
from flows.workspace import Workspace


class Sighting(Record):
    """One more version or curation that has the picture."""

    entry: Entry
    outcomes: dict[str, str]
    """Origin -> `kept`, `rejected:<reason>` or `failed:<reason>`, for each row that was found."""
    uses: tuple[Uses, ...]
    """What was made from the rows that it kept."""

    def text(self) -> str:
        """A line."""
        state = "curation" if self.entry.decided else "version"
        made = f"{self.entry.version.name} {self.entry.manifest.sha256[:SHORT]}, {when(self.entry.saved)}"
        outcomes = "; ".join(f"{origin} {outcome}" for origin, outcome in self.outcomes.items())
        return "; ".join([f"  {state} {made}: {outcomes}", *filter(None, map(used, self.uses))])


class Story(Record):
    """Why a picture is in or out."""

    asked: str
    how: str
    """What the question was: an id, an origin, …"""
    entry: Entry
    """The newest that has the picture; curations are asked before versions that nobody curated."""
    accounts: tuple[Account, ...]
    """One for each of its rows that the question means."""
    others: tuple[Sighting, ...]

    def text(self) -> str:
        """A page."""
        made = f"{self.entry.version.name} {self.entry.manifest.sha256[:SHORT]}, {when(self.entry.saved)}"
        state = "Decided by curation" if self.entry.decided else "Not curated yet; ingested as"
        lines = [line for account in self.accounts for line in (*account.sentences(), "")]
        lines.append(f"{state} {made}. Found by {self.how}.")
        if self.others:
            lines += ["It is also in", *(sighting.text() for sighting in self.others)]
        return "\n".join(lines)


class _Asked(Record):
    """A question: names to look for, each in all versions before the next, and what they are."""

    given: str
    names: tuple[tuple[str, str], ...]
    """(name, how it was found), where an empty `how` leaves that to the match."""
    file: bool = False
    print: str = ""
    """Perceptual hash of a file that decodes, for what looks like it."""


def why(workspace: Workspace, image: str) -> Story:
    """Tell the story of a picture.

    Args:
        workspace: whose store is searched.
        image: image file, id or its beginning, origin or its end, or address.

    Raises:
        ManifestError: no version has it; says what is near.
    """
    store = workspace.store
    known = _newest_first(history.entries(store))
    if not known:
        raise ManifestError("There is no dataset version in this home yet. Make one: lucidflux ingest DIR")
    asked = _question(image)
    how, found = _search(store, known, asked)
    if not found:
        raise ManifestError(_unknown(store, known, asked))
    entry, rows = found[0]
    return Story(
        asked=image,
        how=how,
        entry=entry,
        accounts=_accounts(store, entry, rows),
        others=tuple(_sighting(store, other, theirs) for other, theirs in found[1:]),
    )


def _newest_first(known: list[Entry]) -> list[Entry]:
    """Curations before versions, since they say more; the newest of each first."""
    return sorted(known, key=lambda entry: (entry.decided, entry.saved), reverse=True)


def _question(image: str) -> _Asked:
    path = Path(image)
    try:
        file = path.is_file()
    except OSError:  # longer than a file's name can be, as addresses are
        file = False
    if not file:
        return _Asked(given=image, names=((image.removeprefix("./"), ""),))
    names = ((file_sha256(path), "the file's bytes"), (path.name, "the file's name alone: its bytes are others"))
    return _Asked(given=image, names=names, file=True, print=_print(path))


def _print(path: Path) -> str:
    if path.stat().st_size > codec.Limits().max_bytes:
        return ""
    try:
        return phash.phash(codec.decode(path.read_bytes()).image_u8)
    except DecodeError:
        return ""


def _search(store: Storage, known: list[Entry], asked: _Asked) -> tuple[str, list[tuple[Entry, list[Row]]]]:
    """Give how a picture was found, and where."""
    for name, how in asked.names:
        if found := [(entry, rows) for entry in known if (rows := _look(store, entry, name))]:
            return how or found[0][1][0]["how"], found
    return "", []


def _look(store: Storage, entry: Entry, name: str) -> list[Row]:
    with Tables(store) as tables:
        tables.manifest("rows", entry.manifest)
        return provenance.matches(tables, name)


def _accounts(store: Storage, entry: Entry, rows: list[Row]) -> tuple[Account, ...]:
    settings = history.recall_settings(store, entry.manifest.settings) if entry.decided else {}
    with Tables(store) as tables:
        tables.manifest("rows", entry.manifest)
        higher = _direction(tables, settings)
        return tuple(_account(tables, entry, row, settings=settings, higher=higher) for row in rows)


def _account(tables: Tables, entry: Entry, row: Row, *, settings: dict[str, Any], higher: bool) -> Account:
    others, some = provenance.members(tables, row) if entry.decided else (0, [])
    return Account(
        row={name: value for name, value in row.items() if name not in ("how", "nth")},
        decided=entry.decided,
        settings=settings,
        higher_is_better=higher,
        place=provenance.place(tables, row, higher=higher) if entry.decided else None,
        others=others,
        some_others=tuple(some),
        uses=_uses(tables.store, entry, row),
        benchmark_picture=_benchmark_picture(tables.store, row["related"]) if row["reason"] == "leak" else "",
    )


def _benchmark_picture(store: Storage, related: str) -> str:
    """Name the picture behind `benchmark/id`, as far as the benchmark is still registered."""
    name, _, image_id = related.partition("/")
    for benchmark in registered(store):
        if benchmark.name == name:
            with Tables(store) as tables:
                tables.manifest("rows", benchmark.images)
                origins = [row["origin"] for row in provenance.matches(tables, image_id)]
            if origins:
                return f"{origins[0]} of the benchmark '{name}'"
    return f"picture {image_id[:SHORT]} of the benchmark '{name}', which is no longer registered so"


def _sighting(store: Storage, entry: Entry, rows: list[Row]) -> Sighting:
    uses = tuple(made for row in rows if (made := _uses(store, entry, row)) != Uses())
    return Sighting(entry=entry, outcomes={row["origin"]: _outcome(row) for row in rows}, uses=uses)


def _uses(store: Storage, entry: Entry, row: Row) -> Uses:
    kept = entry.decided and row["verdict"] == "kept"
    return provenance.uses(store, entry.manifest.sha256, row["id"]) if kept else Uses()


def _direction(tables: Tables, settings: dict[str, Any]) -> bool:
    """Direction of the metric that the settings name, or else the one that the verdicts show."""
    try:
        return iqa.info(settings["quality_metric"]).higher_is_better
    except (KeyError, UnknownName):
        return provenance.higher_is_better(tables)


def _outcome(row: Row) -> str:
    return row["verdict"] if row["verdict"] == "kept" else f"{row['verdict']}:{row['reason']}"


def _unknown(store: Storage, known: list[Entry], asked: _Asked) -> str:
    """Say that nothing was found, and what is near."""
    looks: dict[str, int] = {}
    spelled: dict[str, None] = {}
    for entry in known:
        with Tables(store) as tables:
            tables.manifest("rows", entry.manifest)
            if asked.print:
                looks |= dict(provenance.nearest(tables, asked.print))
            elif not asked.file:
                spelled |= dict.fromkeys(provenance.alike(tables, asked.given))
    what = "a picture with the bytes or the name of" if asked.file else "a picture"
    sentence = f"Expected {what} '{asked.given}' in one of the {len(known)} versions of this home; there is none."
    if looks:
        nearest = sorted(looks.items(), key=lambda look: look[1])[:3]
        return f"{sentence} These look like it: {', '.join(f'{origin} ({bits} of 64 bits differ)' for origin, bits in nearest)}."
    if spelled:
        return f"{sentence} Did you mean {', '.join(list(spelled)[:3])}?"
    return (
        f"{sentence} Give an image file, an id of {provenance.FEWEST} characters or more, an origin as in the manifest, "
        "or its end after a '/'."
    )

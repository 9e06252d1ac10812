"""What the verbs `weights` and `convert` do: third-party weights, the encoded prompt, other layouts."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from components.backends.weights import SetState, Shelf, Verdict
from components.errors import WeightsError
from components.records import Progress, Record
from flows.workspace import Workspace

ENCODERS = ("t5", "clip")
"""Sets that encoding a prompt needs."""


class Listing(Record):
    """Every known set."""

    folder: str
    sets: tuple[SetState, ...]

    def text(self) -> str:
        """A table."""
        head = ("name", "state", "size", "licence", "used for")
        rows = [(item.name, item.state, _size(item.size), item.licence, item.used_for) for item in self.sets]
        widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in (head, *rows)]
        return "\n".join([*lines, f"Folder: {self.folder}"])


class Verification(Record):
    """What was verified."""

    folder: str
    verdicts: tuple[Verdict, ...]

    @property
    def healthy(self) -> bool:
        """Every set that was looked at can be used."""
        return all(verdict.healthy for verdict in self.verdicts)

    def text(self) -> str:
        """A line for each set."""
        lines = [f"{verdict.state:10}{verdict.name:20}{verdict.said}" for verdict in self.verdicts]
        return "\n".join(lines or [f"There are no weights in {self.folder}; lucidflux weights list shows what there could be."])


class Written(Record):
    """Files that a verb made or brought in."""

    folder: str
    files: tuple[str, ...]


def shelf(workspace: Workspace) -> Shelf:
    """The weights of a workspace."""
    return Shelf(workspace.weights_folder)


def listing(workspace: Workspace) -> Listing:
    """Look at every known set."""
    found = shelf(workspace)
    return Listing(folder=str(found.folder), sets=tuple(found.states()))


def fetch(workspace: Workspace, names: Sequence[str], mirror: str, progress: Progress) -> Listing:
    """Bring sets from the mirror (or LUCIDFLUX_WEIGHTS_MIRROR) or the hub; lists them.

    Raises:
        UnknownName: a name is in no table.
        WeightsError: a file is nowhere or not what it should be.
    """
    from components.backends import arrivals

    found = shelf(workspace)
    for name in names:
        found.pin(name)
    places = arrivals.sources(mirror or os.environ.get("LUCIDFLUX_WEIGHTS_MIRROR", ""))
    for name in names:
        arrivals.fetch(found, name, places, progress)
    return Listing(folder=str(found.folder), sets=tuple(state for state in found.states() if state.name in names))


def verify(workspace: Workspace, names: Sequence[str], progress: Progress) -> Verification:
    """Hash and look through sets, by default every one that is there."""
    found = shelf(workspace)
    return Verification(folder=str(found.folder), verdicts=tuple(found.verify(names, progress)))


def bring_in(workspace: Workspace, name: str, source: Path) -> Written:
    """Take a set from files of this machine."""
    from components.backends import arrivals

    found = shelf(workspace)
    arrivals.bring_in(found, name, source)
    return Written(folder=str(found.folder / name), files=tuple(file.path for file in found.pin(name).files))


def encode_prompt(workspace: Workspace, prompt: str, out: Path) -> Written:
    """Encode a prompt with the T5 and CLIP of the weights folder.

    Raises:
        WeightsError: an encoder is missing or does not load, or the file cannot be written.
    """
    found = shelf(workspace)
    absent = [state.name for state in found.states() if state.name in ENCODERS and state.state in ("missing", "incomplete")]
    if absent:
        names = " ".join(absent)
        raise WeightsError(f"Expected {' and '.join(absent)} in {found.folder}, found none. Run lucidflux weights fetch {names}.")
    from models import prompt as prompts

    folder = found.folder
    try:
        made = prompts.encode(prompt or prompts.DEFAULT_PROMPT, folder / "t5", folder / "clip")
        prompts.write(out, made)
    except (ValueError, OSError) as error:
        raise WeightsError(str(error)) from error
    return Written(folder=str(out.parent), files=(out.name,))


def convert(workspace: Workspace, sources: Sequence[Path], out: Path, *, to: str, config: Path | None, force: bool) -> Written:
    """Write weights in another layout.

    Args:
        workspace: whose weights folder has the sets that are named.
        sources: files, folders, or names of sets.
        out: folder of the results.
        to: layout.
        config: sizes of the network, for sources that do not bring them.
        force: replace what is at `out`.

    Raises:
        WeightsError: a source is missing or of another kind, or the target is there already.
    """
    found = shelf(workspace)
    places = [found.folder / source if not source.exists() and str(source) in found.pins else source for source in sources]
    absent = [place.name for place in places if place.parent == found.folder and not place.exists()]
    if absent:
        raise WeightsError(f"'{absent[0]}' is not in {found.folder}. Run lucidflux weights fetch {' '.join(absent)}.")
    from models.interchange import convert as run

    try:
        made = run(places, out, to=to, config=config, force=force)
    except (ValueError, OSError) as error:
        raise WeightsError(str(error)) from error
    return Written(folder=str(out), files=tuple(str(path.relative_to(out)) for path in made))


def _size(count: int) -> str:
    if not count:
        return "?"
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"

"""The weights folder: which pinned sets are there, whether they are what they should be, and how files come in.

A set lies in `<folder>/<set>/<path of the file>`. Files wait in `<folder>/.partial` until hash and content are proven,
then take their place by a rename: what lies in a set's folder is whole. `weights.lock.json` holds what was recorded.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from components.backends.pins import WEIGHTS, Pin, PinnedFile
from components.backends.storage import file_sha256
from components.errors import WeightsError, lookup
from components.records import Progress, Record, quiet

LOCK = "weights.lock.json"
STAGING = ".partial"


class SetState(Record):
    """One set as it lies in the folder, judged by sizes alone."""

    name: str
    state: Literal["present", "missing", "incomplete", "unverified", "changed"]
    size: int
    """Bytes that are there, or that are known to come."""
    licence: str
    used_for: str
    repository: str


class Verdict(Record):
    """What a verification says of one set."""

    name: str
    state: Literal["ok", "recorded", "wrong", "missing"]
    said: str

    @property
    def healthy(self) -> bool:
        """The set can be used."""
        return self.state in ("ok", "recorded")


class Shelf:
    """A folder of pinned weights."""

    def __init__(self, folder: Path, pins: Mapping[str, Pin] = WEIGHTS) -> None:
        """Remember the folder; it is made at the first write."""
        self.folder, self.pins = folder, pins

    def pin(self, name: str) -> Pin:
        """Give what is known of a set.

        Raises:
            UnknownName: with a suggestion.
        """
        return lookup(self.pins, name, kind="weights")

    def path(self, name: str, file: PinnedFile) -> Path:
        """Where a file of a set lies."""
        return self.folder / name / file.path

    def staged(self, name: str, file: PinnedFile) -> Path:
        """Where a file waits until it is proven."""
        return self.folder / STAGING / name / file.path

    def states(self) -> list[SetState]:
        """Look at every set; reads no weights."""
        recorded = self._recorded()
        return [self._state(name, pin, recorded.get(name, {})) for name, pin in self.pins.items()]

    def _state(self, name: str, pin: Pin, recorded: Mapping[str, tuple[str, int]]) -> SetState:
        there = {file.path: self.path(name, file).stat().st_size for file in pin.files if self.path(name, file).is_file()}
        state: Literal["present", "missing", "incomplete", "unverified", "changed"] = "present"
        if len(there) < len(pin.files):
            state = "incomplete" if there else "missing"
        elif there.keys() - recorded.keys():
            state = "unverified"
        elif any(recorded[path][1] != size for path, size in there.items()):
            state = "changed"
        size = sum(there.get(file.path, file.size) for file in pin.files)
        facts = {"licence": pin.licence, "used_for": pin.used_for, "repository": pin.repository}
        return SetState(name=name, state=state, size=size, **facts)

    def trusted(self, name: str, file: PinnedFile) -> bool:
        """Say whether a file is there, was proven before and has kept its size."""
        path, known = self.path(name, file), self._recorded().get(name, {}).get(file.path)
        return known is not None and path.is_file() and path.stat().st_size == known[1]

    def verify(self, names: Sequence[str] = (), progress: Progress = quiet) -> list[Verdict]:
        """Hash and look through sets: against the pin, else against the record, else record them now.

        Args:
            names: sets; none means each of which something is there.
            progress: called after each set.

        Raises:
            UnknownName: a name is in no table.
        """
        wanted = list(names) or [state.name for state in self.states() if state.state != "missing"]
        pins = {name: self.pin(name) for name in wanted}
        verdicts = []
        for done, (name, pin) in enumerate(pins.items()):
            verdicts.append(self._verdict(name, pin))
            progress("verify", done + 1, len(pins))
        return verdicts

    def _verdict(self, name: str, pin: Pin) -> Verdict:
        paths = {file: self.path(name, file) for file in pin.files}
        absent = [str(path) for path in paths.values() if not path.is_file()]
        if absent:
            said = f"not there: {', '.join(absent)}; lucidflux weights fetch {name}, or weights import {name} PATH"
            return Verdict(name=name, state="missing", said=said)
        known = self._recorded().get(name, {})
        first = [file.path for file in pin.files if not file.sha256 and file.path not in known]
        try:
            digests = self.prove(name, paths)
        except WeightsError as error:
            return Verdict(name=name, state="wrong", said=str(error))
        try:
            self.record(name, digests, paths)
        except WeightsError as error:
            if first:
                return Verdict(name=name, state="wrong", said=f"not pinned, and cannot be recorded: {error}")
        if first:
            said = (
                f"not pinned yet: verify computed and recorded the sha256 of {', '.join(first)} (trust on first use) "
                f"in {self.folder / LOCK}"
            )
            return Verdict(name=name, state="recorded", said=said)
        pinned = sum(bool(file.sha256) for file in pin.files)
        return Verdict(name=name, state="ok", said=f"{pinned} files as pinned, {len(pin.files) - pinned} as recorded")

    def prove(self, name: str, paths: Mapping[PinnedFile, Path]) -> dict[PinnedFile, str]:
        """Compare files with the pin or the record, look through what they hold, and give their hashes.

        Raises:
            WeightsError: names the file, what was expected and what came.
        """
        digests = {file: self.prove_hash(name, file, path) for file, path in paths.items()}
        self.prove_content(name, paths)
        return digests

    def prove_content(self, name: str, paths: Mapping[PinnedFile, Path]) -> None:
        """Look through what the files of a set hold.

        Raises:
            WeightsError: another checkpoint, other sizes, numbers that are not finite, a cut file, or code.
        """
        from components.backends import checkpoints

        checkpoints.check(list(paths.values()), name, self.pins)

    def prove_hash(self, name: str, file: PinnedFile, path: Path) -> str:
        """Give a file's sha256 when it is the expected one, or when none is known.

        Raises:
            WeightsError: it is another, or the file cannot be read.
        """
        try:
            size, digest = path.stat().st_size, file_sha256(path)
        except OSError as error:
            raise WeightsError(f"Cannot read {path} of '{name}': {error.strerror or error}.") from error
        if file.size and size != file.size:
            raise WeightsError(f"{path} of '{name}' has {size} bytes, expected {file.size}. It is cut or another file.")
        expected = file.sha256 or self._recorded().get(name, {}).get(file.path, ("", 0))[0]
        if expected and digest != expected:
            source = "pinned" if file.sha256 else f"recorded in {self.folder / LOCK}"
            raise WeightsError(
                f"{path} of '{name}' has sha256 {digest}, expected {expected} ({source}). It was changed or is another file."
            )
        return digest

    def land(self, name: str, staged: Mapping[PinnedFile, Path], digests: Mapping[PinnedFile, str]) -> None:
        """Put each proven file in its place, record it, and clear the staging folder."""
        with self.writing():
            for file, partial in staged.items():
                target = self.path(name, file)
                target.parent.mkdir(parents=True, exist_ok=True)
                with partial.open("rb") as opened:
                    os.fsync(opened.fileno())
                partial.replace(target)
            self.record(name, digests, {file: self.path(name, file) for file in digests})
            self.clear(name)

    def clear(self, name: str) -> None:
        """Throw away what waits in the staging folder of a set."""
        shutil.rmtree(self.folder / STAGING / name, ignore_errors=True)

    def record(self, name: str, digests: Mapping[PinnedFile, str], paths: Mapping[PinnedFile, Path]) -> None:
        """Remember hash and size of files that were proven.

        Raises:
            WeightsError: the folder cannot be written.
        """
        known = self._recorded()
        before = known.get(name, {})
        after = before | {file.path: (digest, paths[file].stat().st_size) for file, digest in digests.items()}
        if after == before:
            return
        listed = {
            known_name: {path: {"sha256": digest, "size": size} for path, (digest, size) in files.items()}
            for known_name, files in (known | {name: after}).items()
        }
        with self.writing():
            partial = self.folder / f".{LOCK}.partial"
            partial.write_text(json.dumps(listed, indent=1, sort_keys=True) + "\n")
            partial.replace(self.folder / LOCK)

    def _recorded(self) -> dict[str, dict[str, tuple[str, int]]]:
        """Set -> file -> (sha256, size)."""
        path = self.folder / LOCK
        try:
            listed = json.loads(path.read_text())
            return {
                name: {file: (str(facts["sha256"]), int(facts["size"])) for file, facts in files.items()}
                for name, files in listed.items()
            }
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise WeightsError(
                f"{path} cannot be read ({error}). Remove it, and run lucidflux weights verify to record anew."
            ) from error

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Make the folder, and say what is wrong when it cannot be written."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            yield
        except OSError as error:
            raise WeightsError(
                f"Cannot write below {self.folder}: {error.strerror or error}. "
                "Free space, or set backend.weights or LUCIDFLUX_WEIGHTS to a folder that can be written."
            ) from error

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Let one process at a time bring files in; the others wait."""
        with self.writing():
            lock = (self.folder / ".lock").open("w")
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

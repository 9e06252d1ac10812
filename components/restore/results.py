"""Results in the output, local or S3: found again, never made twice, never written over something else's file.

Beside each result lies a note, which says what it was made from and by which bytes it is known. The note is written first:
whoever is killed between the two leaves a note without its file, which is made again.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, NamedTuple

from components.backends.storage import Storage
from components.errors import StorageError
from components.records import content_hash

Row = dict[str, Any]

LEDGER = ".lucidflux"
"""Folder inside the output that holds the notes."""


class Standing(NamedTuple):
    """What is at the place of a result before it is written."""

    found: Row | None = None
    """Facts of the result that is asked for, where it is there already."""
    data: bytes = b""
    """Its bytes."""
    taken: bool = False
    """Something else's file is there."""
    replaces: tuple[str, ...] = ()
    """sha256 of an earlier result of ours that is there."""


@dataclass(frozen=True)
class Results:
    """Where results go."""

    store: Storage
    force: bool = False
    """Files of something else are overwritten too."""

    def look(self, name: str, key: str) -> Standing:
        """Look at the place of a result.

        Args:
            name: path of the result.
            key: hash of what it is made of.
        """
        note = self._note(name)
        if not note and not self.store.exists(name):
            return Standing()
        try:
            data = self.store.read(name)
        except StorageError:
            return Standing()
        digest = hashlib.sha256(data).hexdigest()
        if digest == note.get("output_sha256") and note.get("key") == key:
            return Standing(note["facts"], data)
        ours = digest in (note.get("output_sha256"), *note.get("replaces", ()))
        return Standing(taken=not ours and not self.force, replaces=(digest,))

    def keep(self, name: str, key: str, encoded: bytes, facts: Row, standing: Standing) -> bool:
        """Write a result and its note; False when something else has taken the place meanwhile.

        Args:
            name: path of the result.
            key: hash of what it is made of.
            encoded: the file.
            facts: what is said of it when it is found again.
            standing: what `look` saw.
        """
        digest = hashlib.sha256(encoded).hexdigest()
        note = {"output": name, "key": key, "output_sha256": digest, "replaces": standing.replaces, "facts": facts}
        self.store.put(_place(name), json.dumps(note, sort_keys=True).encode())
        if standing.replaces:
            self.store.put(name, encoded)
            return True
        return self.store.put_new(name, encoded)

    def _note(self, name: str) -> Row:
        try:
            note = json.loads(self.store.read(_place(name)))
        except ValueError:
            return {}
        except StorageError:
            if self.store.exists(_place(name)):
                raise
            return {}
        return note if isinstance(note, dict) and isinstance(note.get("facts"), dict) else {}


def _place(name: str) -> str:
    return f"{LEDGER}/results/{content_hash(name)}.json"

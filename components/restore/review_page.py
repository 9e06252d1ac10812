"""The sheet of restored pictures that a person should look at: before and after, and what is wrong in a sentence each.

Entries are kept one by one in the object store as they are found, so a batch that is killed and goes on has them all, and
the page is written from them at the end. It needs neither network nor the pictures' folders.
"""

from __future__ import annotations

import hashlib
import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import ConfigDict, ValidationError

from components.backends.pages.style import STYLE
from components.backends.pages.wording import count, number, plural, share
from components.backends.report import data_uri, fill, thumbnail
from components.backends.storage import Storage
from components.errors import StorageError
from components.imaging import codec
from components.imaging.inspection import CHECKS, Finding, Findings, as_u8
from components.records import Record
from components.restore.quality import Attempt, Judged, Picture, Tried
from components.restore.review_template import OWN_STYLE, SECTIONS, TEMPLATE

SIDE_PX = 640
"""Longer side of the pictures on the page."""
JPEG_QUALITY = 85
ID_LENGTH = 12


class Reviewed(Record):
    """One flagged picture as the page shows it."""

    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

    id: str
    """sha256 of the input file."""
    origin: str
    """Relative path of the input, which the result mirrors."""
    model: str
    attempt: Attempt
    """What the kept result was made with."""
    findings: Findings
    tried: tuple[Tried, ...]
    width_px: int
    height_px: int
    before: bytes
    """JPEG of the LQ, at most SIDE_PX a side."""
    after: bytes
    """JPEG of the result, of the same size."""


def reviewed(found: Judged, lq: Picture, *, image_id: str, origin: str, model: str) -> Reviewed:
    """Make the entry of one picture; at most a few hundred KB, whatever its size.

    Args:
        found: what `judged` gave.
        lq: the picture that came in.
        image_id: sha256 of its file.
        origin: its relative path.
        model: identity of the model version.
    """
    before, after = (codec.encode_jpeg(thumbnail(as_u8(one), SIDE_PX), JPEG_QUALITY) for one in (lq, found.picture))
    return Reviewed(
        id=image_id,
        origin=origin,
        model=model,
        attempt=found.attempt,
        findings=found.findings,
        tried=found.tried,
        width_px=lq.shape[1],
        height_px=lq.shape[0],
        before=before,
        after=after,
    )


def keep(store: Storage, batch: str, entry: Reviewed) -> str:
    """Put an entry into the object store and give its key; made again, it takes the place of the one before.

    Args:
        store: object store.
        batch: id of the batch.
        entry: what `reviewed` made.
    """
    name = hashlib.sha256(f"{entry.id} {entry.origin}".encode()).hexdigest()
    return store.put(f"reviews/{batch}/{name}.json", entry.model_dump_json().encode())


def kept(store: Storage, batch: str) -> Iterator[Reviewed]:
    """Give the entries of a batch one by one, in an order that depends on the pictures alone.

    Raises:
        StorageError: an entry cannot be read.
    """
    for key in store.list(f"reviews/{batch}/"):
        try:
            yield Reviewed.model_validate_json(store.read(key))
        except ValidationError as error:
            sentence = (
                f"Expected an entry of a review page in '{key}', got something else. Delete it and restore that picture again."
            )
            raise StorageError(sentence) from error


def put_page(store: Storage, batch: str, *, restored: int, shown: int) -> str:
    """Write the page of a batch from what was kept, and give its key, `pictures/<sha256>.html`.

    Args:
        store: holds the entries, and receives the page.
        batch: id of the batch.
        restored: pictures that were restored, flagged or not.
        shown: how many of the flagged are on the page, the worst first.

    Raises:
        StorageError: an entry cannot be read.
    """
    html = page(kept(store, batch), batch=batch, restored=restored, shown=shown).encode()
    return store.put(f"pictures/{hashlib.sha256(html).hexdigest()}.html", html)


def page(entries: Iterable[Reviewed], *, batch: str, restored: int, shown: int) -> str:
    """Give the page as one HTML text; no more than `shown` entries are in memory at once.

    Args:
        entries: flagged pictures in any order.
        batch: id of the batch.
        restored: pictures that were restored, flagged or not.
        shown: how many of the flagged are shown, the worst first.
    """
    counted = _Counted()
    worst = heapq.nsmallest(shown, counted.over(entries), key=lambda one: (-one.findings.severity, one.origin, one.id))
    left_out = counted.flagged - len(worst)
    return fill(
        TEMPLATE,
        window=f"Review of batch {batch}",
        title="Restored pictures to look at",
        label="",
        links={},
        sections=SECTIONS,
        style=STYLE + OWN_STYLE,
        lead=_lead(counted, restored),
        figures=[
            ("flagged", count(counted.flagged)),
            ("of the restored", share(counted.flagged, restored)),
            ("attempts on them", count(counted.attempts)),
        ],
        facts={"batch": batch, "models": ", ".join(sorted(counted.models)) or "–"},
        rows=counted.rows(),
        pictures=[_shown(one, place) for place, one in enumerate(worst, 1)],
        left_out=f"{plural(left_out, 'picture')} with smaller faults {'is' if left_out == 1 else 'are'} not shown."
        if left_out
        else "",
    )


class _Counted:
    """Counts of the entries that went by."""

    def __init__(self) -> None:
        self.flagged = self.attempts = 0
        self.models: set[str] = set()
        self.by_check: Counter[str] = Counter()
        self.worst: dict[str, Finding] = {}

    def over(self, entries: Iterable[Reviewed]) -> Iterator[Reviewed]:
        """Count each entry and pass it on."""
        for entry in entries:
            self.flagged += 1
            self.attempts += len(entry.tried)
            self.models.add(entry.model)
            for one in entry.findings.failed:
                self.by_check[one.check] += 1
                if one.check not in self.worst or one.severity > self.worst[one.check].severity:
                    self.worst[one.check] = one
            yield entry

    def rows(self) -> list[list[str]]:
        """Check, pictures that fail it, the worst value, the limit; the most frequent first."""
        order = sorted(self.by_check, key=lambda name: (-self.by_check[name], list(CHECKS).index(name)))
        return [
            [name, count(self.by_check[name]), number(self.worst[name].value), number(self.worst[name].limit)] for name in order
        ]


def _lead(counted: _Counted, restored: int) -> str:
    if not counted.flagged:
        return f"None of {plural(restored, 'restored picture')} is flagged."
    return (
        f"{count(counted.flagged)} of {plural(restored, 'restored picture')} did not pass every check, in any attempt. The best "
        "attempt was kept; the file is where the others are. Move the line across a picture by mouse, finger or arrow keys."
    )


def _shown(entry: Reviewed, place: int) -> dict[str, Any]:
    failed = entry.findings.failed
    attempt = entry.attempt
    return {
        "place": place,
        "origin": entry.origin,
        "before": data_uri(entry.before),
        "after": data_uri(entry.after),
        "width_px": entry.width_px,
        "height_px": entry.height_px,
        "tile": _tile(failed, entry),
        "failed": [(one.check, one.sentence) for one in failed],
        "meta": f"{entry.model} · seed {attempt.seed} · fidelity {attempt.fidelity:g} · {entry.width_px}x{entry.height_px} px",
        "id": entry.id[:ID_LENGTH],
        "rows": [_row(one) for one in entry.findings.found],
        "tried": [_tried(one) for one in entry.tried],
    }


def _tile(failed: Iterable[Finding], entry: Reviewed) -> str:
    """Place of the worst finding that has one, as CSS."""
    where = next((one.where for one in failed if one.where), None)
    if where is None:
        return ""
    sides = (entry.height_px, entry.width_px, entry.height_px, entry.width_px)
    percents = (100 * value / side for value, side in zip(where, sides, strict=True))
    return "; ".join(f"{name}: {value:.2f}%" for name, value in zip(("top", "left", "height", "width"), percents, strict=True))


def _row(one: Finding) -> Mapping[str, Any]:
    return {
        "check": one.check,
        "value": number(one.value),
        "limit": number(one.limit),
        "off": not one.passed,
        "words": one.sentence,
    }


def _tried(one: Tried) -> str:
    outcome = f"fails {', '.join(one.failed)}" if one.failed else "passes"
    return f"seed {one.attempt.seed}, fidelity {one.attempt.fidelity:g}: {outcome}, severity {one.severity:.2f}"

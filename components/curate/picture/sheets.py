"""Pictures of rows, made small: read from their shard one at a time, so that memory does not grow with their number."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from components.backends.pages.wording import tail
from components.backends.report import data_uri, thumbnail
from components.backends.storage import Storage
from components.backends.tables import Tables
from components.curate.picture import facts
from components.curate.picture.wording import REASONS, why
from components.imaging import codec
from components.records import Progress

THUMB_PX = 128
JPEG_QUALITY = 72
KEPT_SHOWN = 36
REJECTED_SHOWN = 12

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Thumb:
    """One small picture with the words under it."""

    uri: str
    width_px: int
    height_px: int
    alt: str
    caption: str
    origin: str
    mark: str = ""
    """`stays` or `aside` in a group of duplicates; `in` or `out` beside a cut."""

    @property
    def name(self) -> str:
        """What of the origin fits below the picture."""
        return tail(self.origin)


@dataclass(frozen=True)
class Sheet:
    """Pictures under one heading."""

    title: str
    total: int
    """How many there are in the manifest."""
    thumbs: Sequence[Thumb]
    note: str = ""


class Reader:
    """Makes thumbs of rows; a picture that is shown twice is read once."""

    def __init__(self, store: Storage, metric: str, progress: Progress) -> None:
        """Start with nothing read.

        Args:
            store: holds the shards.
            metric: name of the metric behind `quality`.
            progress: called after each picture.
        """
        self._store, self._metric, self._progress = store, metric, progress
        self._made: dict[str, tuple[str, int, int]] = {}

    def image(self, row: Row) -> codec.Image:
        """Read and decode the picture of a row.

        Raises:
            StorageError: its shard is missing or cut.
            DecodeError: its bytes are not those that curation saw.
        """
        data = self._store.read_range(row["shard"], row["offset"], row["length"])
        return codec.decode(data, limits=codec.STORED).image_u8

    def thumb(self, row: Row, *, caption: str = "", mark: str = "") -> Thumb:
        """Make one thumb; its caption is what decided the row unless one is given."""
        if row["id"] not in self._made:
            small = thumbnail(self.image(row), THUMB_PX)
            self._made[row["id"]] = (data_uri(codec.encode_jpeg(small, JPEG_QUALITY)), small.shape[1], small.shape[0])
            self._progress("picture", len(self._made), 0)
        uri, width, height = self._made[row["id"]]
        words = caption or why(row, self._metric)
        return Thumb(uri, width, height, f"{tail(row['origin'])}, {words}", words, row["origin"], mark)

    def thumbs(self, rows: Iterable[Row], *, mark: str = "", caption: Callable[[Row], str] = lambda _: "") -> list[Thumb]:
        """Make thumbs of all rows that have a stored picture."""
        return [self.thumb(row, mark=mark, caption=caption(row)) for row in rows if row["shard"]]


def first_by_id(view: str, count: int, *, by: str = "''") -> str:
    """Give SQL for `name` and its `first` rows by id, for each value of `by`.

    An id is a hash of the bytes, so neither quality nor origin influences the choice.
    """
    return f"select {by} as name, {first('id', count)} as first from {view} where shard is not null group by 1"


def first(by: str, count: int) -> str:
    """Give SQL that aggregates the origins of the first rows by a column, ties by id."""
    return f"min({{'by': {by}, 'id': id, 'origin': origin}}, {count})"


def chosen(tables: Tables, sql: str, view: str = facts.VIEW) -> dict[str, list[Row]]:
    """Give whole rows for each name in a result of (`name`, `first`), in their order, reading the view once."""
    found = {row["name"]: [one["origin"] for one in row["first"] or []] for row in tables.rows(sql)}
    wanted = ", ".join(f"'{escaped(origin)}'" for origin in sorted({origin for origins in found.values() for origin in origins}))
    if not wanted:
        return {}
    rows = {row["origin"]: row for row in tables.rows(f"select {facts.COLUMNS} from {view} where origin in ({wanted})")}
    return {name: [rows[origin] for origin in origins] for name, origins in found.items()}


def escaped(text: str) -> str:
    """Double the quotes of a text that goes into SQL."""
    return text.replace("'", "''")


def contact_sheets(tables: Tables, reader: Reader, counts: Mapping[str, int], kept: int) -> list[Sheet]:
    """Give a sheet of kept pictures and one for each reason of a rejection.

    Args:
        tables: with the view of the images.
        reader: makes the thumbs.
        counts: rejected rows by reason, in the order of the stages.
        kept: kept rows.
    """
    rows = chosen(tables, first_by_id("decoded", KEPT_SHOWN, by="case when verdict = 'kept' then 'kept' else reason end"))
    sheets = [Sheet("kept", kept, reader.thumbs(rows.get("kept", [])))]
    for reason, total in counts.items():
        if reason not in ("duplicate_bytes", "near_duplicate"):  # shown in their groups
            thumbs = reader.thumbs(rows.get(reason, [])[:REJECTED_SHOWN])
            sheets.append(Sheet(reason, total, thumbs, REASONS.get(reason, "")))
    return sheets

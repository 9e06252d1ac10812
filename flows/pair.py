"""What the verb `pair` does: make one training pair again from its row, and say what was done to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from components.backends import catalog
from components.backends.history import SHORT
from components.backends.tables import Tables
from components.errors import ManifestError, SettingsError
from components.imaging import codec
from components.imaging.degrade.recipe import Recipe
from components.records import PairSet, Record
from components.synthesize.pairs import remade
from flows.workspace import Workspace


class Pair(Record):
    """One pair that was made again."""

    id: str
    hq_id: str
    epoch: int
    pairs: str
    """sha256 of the manifest that has its row."""
    recipe: Recipe
    files: tuple[str, str]
    """HQ and LQ, as PNG."""
    others: int
    """Further pairs that the question meant too."""

    def text(self) -> str:
        """A line for each step, and the files."""
        lines = [f"Pair {self.id[:SHORT]}, picture {self.hq_id[:SHORT]}, epoch {self.epoch}, of pairs {self.pairs[:SHORT]}"]
        lines += [f"  {line}" for line in self.recipe.lines()]
        if self.others:
            lines.append(f"{self.others} more pairs are meant by that; give the id of one, or --epoch.")
        return "\n".join([*lines, *(f"Written: {file}" for file in self.files)])


def remake(workspace: Workspace, asked: str, out: Path, *, epoch: int | None = None) -> Pair:
    """Make a pair again and write both pictures.

    Args:
        workspace: whose store has the pairs.
        asked: beginning of the id of a pair, or of the picture that it was made from.
        out: folder of the files `<id>-hq.png` and `<id>-lq.png`.
        epoch: of several pairs of a picture, the one of this epoch; None takes the first.

    Raises:
        ManifestError: no pair has that id.
        SettingsError: that is no beginning of an id, or the libraries that are here would make other bytes.
    """
    if not asked or set(asked) - set("0123456789abcdef"):
        raise SettingsError(f"Expected the beginning of an id in hexadecimal digits, got {asked!r}.")
    for made, _ in reversed(catalog.every(workspace.store, PairSet)):
        rows = _rows(workspace, made, asked, epoch)
        if rows:
            return _write(workspace, made, rows, out)
    raise ManifestError(
        f"No pair has the id '{asked}', nor a picture it was made from{'' if epoch is None else f', in epoch {epoch}'}. "
        "lucidflux why IMAGE shows the id of a picture; pairs are made by: lucidflux synthesize."
    )


def _rows(workspace: Workspace, made: PairSet, asked: str, epoch: int | None) -> list[dict[str, Any]]:
    sql = """select * from pairs where (starts_with(id, $asked) or starts_with(hq_id, $asked))
        and ($epoch is null or epoch = $epoch) order by hq_id, epoch"""
    with Tables(workspace.store) as tables:
        tables.manifest("pairs", made.manifest)
        return tables.rows(sql, {"asked": asked, "epoch": epoch})


def _write(workspace: Workspace, made: PairSet, rows: list[dict[str, Any]], out: Path) -> Pair:
    row, store = rows[0], workspace.store
    out.mkdir(parents=True, exist_ok=True)
    files = []
    for side, image_u8 in zip(("hq", "lq"), remade(store, row), strict=True):
        path = out / f"{row['id'][:SHORT]}-{side}.png"
        path.write_bytes(codec.encode_png(image_u8))
        files.append(str(path))
    return Pair(
        id=row["id"],
        hq_id=row["hq_id"],
        epoch=row["epoch"],
        pairs=made.manifest.sha256,
        recipe=Recipe.unpack(row["recipe"]),
        files=(files[0], files[1]),
        others=len(rows) - 1,
    )

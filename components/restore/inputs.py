"""Which files a restoration is asked for, and where each result goes."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from components.errors import SourceError

SUFFIX = {"jpeg": ".jpg", "png": ".png", "webp": ".webp"}
"""Suffix of a result by its format."""


class Input(NamedTuple):
    """One file to restore."""

    path: Path
    origin: str
    """Relative path that the result mirrors."""


def find_inputs(addresses: Sequence[str]) -> list[Input]:
    """List files, the files of folders, and the matches of globs, each once.

    Raises:
        SourceError: an address matches nothing, or no file is left.
    """
    found: dict[Path, Input] = {}
    for address in addresses:
        path = Path(address.removeprefix("file://")).expanduser()
        if path.is_dir():
            matches = [Input(file, file.relative_to(path).as_posix()) for file in sorted(path.rglob("*")) if _visible(file, path)]
        elif path.is_file():
            matches = [Input(path, path.name)]
        else:
            matches = [Input(Path(name), Path(name).name) for name in sorted(glob.glob(str(path), recursive=True))]  # noqa: PTH207 (absolute patterns)
            matches = [match for match in matches if match.path.is_file()]
            if not matches:
                raise SourceError(f"Expected a photo, a folder or a glob that matches some, '{address}' matches nothing.")
        found |= {match.path.resolve(): match for match in matches if match.path.resolve() not in found}
    if not found:
        raise SourceError(f"Expected photos in {', '.join(addresses)}, found none. Put JPEG, PNG, WebP or TIFF files there.")
    return list(found.values())


def _visible(file: Path, root: Path) -> bool:
    return file.is_file() and not any(part.startswith(".") for part in file.relative_to(root).parts)


def plan_outputs(inputs: Sequence[Input], formats: Sequence[str]) -> list[str]:
    """Give each input a relative output path of its own.

    Two inputs that would share a name (`a.jpg` and `a.tif` as PNG, or files of one name from two folders)
    get a number: `a.png`, `a-2.png`.

    Args:
        inputs: what to restore.
        formats: format of each result, a key of SUFFIX.
    """
    taken: set[str] = set()
    planned = []
    for item, kind in zip(inputs, formats, strict=True):
        stem = str(Path(item.origin).with_suffix(""))
        name, number = f"{stem}{SUFFIX[kind]}", 1
        while name.lower() in taken:
            number += 1
            name = f"{stem}-{number}{SUFFIX[kind]}"
        taken.add(name.lower())
        planned.append(name)
    return planned

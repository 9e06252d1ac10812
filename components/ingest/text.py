"""Text from outside, before it goes into a row."""

from __future__ import annotations

import hashlib

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def printable(text: str) -> str:
    """Replace what Parquet cannot hold (half surrogates) and what a terminal would obey (control characters)."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else REPLACEMENT for letter in text)


def as_origin(name: str) -> str:
    """Make a name printable; what two different names become stays different."""
    if name.isprintable():
        return name
    return f"{printable(name)}~{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"

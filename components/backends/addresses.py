"""Addresses of servers, shown without what opens them.

A password belongs in the environment. Where an address carries one all the same, nothing that is kept or shown repeats it.
"""

from __future__ import annotations

import re

HIDDEN = "***"
"""Stands where a password was."""
# a password may hold any sign but a space, so it ends at the last @ of the word
_OF_A_USER = re.compile(r"(://[^:/?#@\s]*:)(?!\*\*\*@)\S+@")
_OF_A_QUERY = re.compile(r"([?&](?:ssl)?password=)(?!\*\*\*)[^&\s]+", re.IGNORECASE)


def without_password(text: str) -> str:
    """Put `***` in the place of every password of an address, in an address or in a sentence around some.

    Args:
        text: for example `postgresql://user:password@host/name`.
    """
    return _OF_A_QUERY.sub(rf"\g<1>{HIDDEN}", _OF_A_USER.sub(rf"\g<1>{HIDDEN}@", text))


def has_password(address: str) -> bool:
    """Say whether an address carries a password."""
    return without_password(address) != address

"""Settings of the ingest stage."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from components.records import Settings


class IngestSettings(Settings):
    """How pictures become shards and rows."""

    shard_bytes: Annotated[int, Field(gt=0)] = 256 << 20
    """Bytes of pictures per tar shard, before the headers."""
    shard_pictures: Annotated[int, Field(gt=0)] = 4096
    """Most pictures per tar shard."""
    decode_seconds: Annotated[float, Field(gt=0)] = 10.0
    """Processor time that one picture may take to decode; one that takes more is `too_slow`."""
    max_pixels: Annotated[int, Field(gt=0)] = 64_000_000
    """Larger pictures fail before their pixels are allocated."""
    max_bytes: Annotated[int, Field(gt=0)] = 256 << 20
    """Larger files fail before they are read."""
    packaged_crop_px: Annotated[int, Field(ge=192)] = 256
    """Side of the crops that the packaged photos are cut into; crops of one photo share its scene."""

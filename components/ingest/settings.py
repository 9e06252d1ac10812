"""Settings of the ingest stage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from components.records import Settings


class UrlSettings(Settings):
    """How pictures are asked for on the web, and when a site's answer is no."""

    url_column: str = ""
    """Column of the addresses; empty takes the first of photo_image_url, image_url, img_url, url and uri, in any case."""
    licence_column: str = ""
    """Column of the licences; empty takes licence or license, where a list has one."""
    max_bytes: Annotated[int, Field(gt=0)] = 64 << 20
    """Larger files are not read to their end; `ingest.max_bytes` holds too."""
    concurrency: Annotated[int, Field(gt=0)] = 64
    """Requests at one time, per worker process."""
    host_concurrency: Annotated[int, Field(gt=0)] = 8
    """Requests at one time to one host, per worker process."""
    host_delay_seconds: Annotated[float, Field(ge=0)] = 0.0
    """Least time between the starts of two requests to one host, per worker process."""
    host_failures: Annotated[int, Field(gt=0)] = 64
    """Failures of a host in a row (time-outs, lost connections, 429, 5xx) after which a job leaves its other addresses unasked:
    `host_unavailable`."""
    buffer_bytes: Annotated[int, Field(gt=0)] = 256 << 20
    """Bytes of whole and half-read pictures that wait for the decoder, per worker process; beyond it only the next in order is
    read on."""
    ahead: Annotated[int, Field(gt=0)] = 1024
    """Most addresses that are under way or wait for the decoder; a slow site holds the others up only after as many."""
    connect_seconds: Annotated[float, Field(gt=0)] = 10.0
    """To find a host and connect to it; then `timed_out`."""
    read_seconds: Annotated[float, Field(gt=0)] = 15.0
    """Without a byte from a host; then `timed_out`."""
    total_seconds: Annotated[float, Field(gt=0)] = 60.0
    """For one whole answer; then `slow_download`."""
    attempts: Annotated[int, Field(gt=0)] = 3
    """Requests for one address, in all, where waiting may help: lost connections, time-outs, 408, 425, 429, 500, 502 to 504."""
    backoff_seconds: Annotated[float, Field(gt=0)] = 1.0
    """Wait after a first failure, doubled with each further one and spread by half up and down; after 429 and 503 it holds for
    the whole host, and Retry-After takes its place."""
    backoff_most_seconds: Annotated[float, Field(gt=0)] = 60.0
    """Longest wait; a host that asks for more is `host_unavailable` for the rest of the job."""
    max_redirects: Annotated[int, Field(ge=0)] = 5
    """Redirects that are followed, each checked like the first address."""
    allow_ports: tuple[Annotated[int, Field(gt=0, lt=65536)], ...] = (80, 443)
    """Ports that may be asked; others are `forbidden_port`."""
    allow_hosts: tuple[str, ...] = ()
    """`host` or `host:port` inside the own network that may be asked, whatever its address and port; every other private,
    loopback, link-local, multicast or reserved address is `private_address`."""
    opt_out: tuple[str, ...] = ("noai", "noimageai", "noindex", "noimageindex", "none", "tdm-reservation")
    """Words in the header X-Robots-Tag that mean `opted_out`; tdm-reservation means the header TDM-Reservation: 1."""
    user_agent: str = "lucidflux/0.1"
    """Sent with each request; what stands before the slash is the name that X-Robots-Tag may address. Add a contact."""


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
    s3_concurrency: Annotated[int, Field(gt=0)] = 8
    """Objects that are read from a bucket at one time, per worker process."""
    urls: UrlSettings = UrlSettings()
    overrides: Mapping[str, str] = {}
    """Broken rule of the contract -> "NAME: reason" of the person who lets it pass; recorded with the outcome."""
    bands: Mapping[str, float] = {}
    """Limits of the contract that differ from those in infra/expectations, for example `drift_maximum`."""

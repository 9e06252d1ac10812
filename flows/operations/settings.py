"""What `lucidflux up` starts, and what runs on schedule; empty means as prefect.yaml says."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from components.records import Settings

Port = Annotated[int, Field(ge=0, le=65535)]


class PlatformSettings(Settings):
    """Servers, workers and schedules of one machine."""

    host: str = "127.0.0.1"
    """Address that servers listen on; another one than loopback asks for passwords (docs/operations.md)."""
    prefect_port: Port = 0
    """0 takes a free port, once; the home remembers it."""
    mlflow_port: Port = 0
    """0 takes a free port, once; the home remembers it."""
    runs: Annotated[int, Field(gt=0)] = 2
    """Flow runs that the worker of one pool carries out at once."""
    time_zone: str = ""
    """IANA name of the zone in which all schedules are read, for example Europe/Berlin."""
    retrain_sources: tuple[str, ...] = ()
    """What `retrain` ingests."""
    retrain_cron: str = ""
    """When it does."""
    restore_input: str = ""
    """What `restore-batch` restores every night; its schedule is inactive until this and the output are set."""
    restore_output: str = ""
    """Where the nightly results go."""
    restore_cron: str = ""
    """When it does."""

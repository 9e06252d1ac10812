"""Ports of the servers: chosen once, kept in the home, changed only while nothing listens."""

from __future__ import annotations

import socket

from components.errors import SettingsError
from flows.operations import processes, record
from flows.operations.record import Platform
from flows.operations.services import external
from flows.workspace import Workspace

CLEAR_SECONDS = 10.0


def prepared(workspace: Workspace) -> Platform:
    """The home's platform with its ports; written down before anything is started, so that nothing can be lost."""
    settings = workspace.profile.platform
    platform = record.load(workspace.home) or record.new()
    for name in ("prefect", "mlflow"):
        if platform.process(name) is None:  # its children may hold the port
            processes.stop(processes.marked(platform.token, name), CLEAR_SECONDS)
    asked = {"prefect": settings.prefect_port, "mlflow": settings.mlflow_port}
    ports = {name: _port(platform, name, port) for name, port in asked.items() if name != "mlflow" or not external(workspace)}
    changed = [name for name, port in ports.items() if port != platform.ports.get(name)] if platform.services else []
    moved = [name for name in changed if platform.process(name)]
    if moved or (platform.process("prefect") and platform.host != settings.host):
        raise SettingsError("Expected the address that the servers run at already. To change it: lucidflux down, then up.")
    return record.save(workspace.home, platform.model_copy(update={"ports": ports, "host": settings.host}))


def _port(platform: Platform, name: str, asked: int) -> int:
    """The port that was asked for, or the one of last time, or a free one."""
    before = platform.ports.get(name, 0)
    if platform.process(name) is not None:
        return asked or before
    if asked and not _free(asked):
        raise SettingsError(f"Expected a free port as platform.{name}_port, {asked} is in use. 0 takes any free one.")
    if asked or (before and _free(before)):
        return asked or before
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True

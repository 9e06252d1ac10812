"""Brings figures of a run to Prometheus; with figures.py the home of prometheus_client.

Trainings and batches end, so a server that asks them would miss the last figures of each: they are pushed to a
Pushgateway. On one machine without one, they are served on an address while the run lasts. Figures are no reason to lose
a run: what cannot be sent is said once in the log, and the run goes on.
"""

from __future__ import annotations

import logging
import os
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPException

from prometheus_client import CollectorRegistry, push_to_gateway, start_http_server
from prometheus_client.exposition import default_handler

from components.errors import SettingsError

INSTANCE = "LUCIDFLUX_INSTANCE"
"""Variable that names this machine for Prometheus where its host name changes from run to run, as a pod's does."""
EVERY_SECONDS = 15.0
"""Between two pushes."""
ANSWER_SECONDS = 5.0
"""How long a Pushgateway may take to answer."""
_LOG = logging.getLogger("lucidflux.metrics")


@contextmanager
def exported(address: str, registry: CollectorRegistry, *, job: str, every_s: float = EVERY_SECONDS) -> Iterator[None]:
    """Let Prometheus have the figures of a registry while the block runs, and a Pushgateway those at its end too.

    Args:
        address: http address of a Pushgateway, where a machine's last run of a job stands until its next; HOST:PORT to serve
            them there; empty does nothing.
        registry: whose figures; see components.backends.figures.
        job: `training` or `restore`.
        every_s: seconds between two pushes.

    Raises:
        SettingsError: the address is of neither form.
    """
    with ExitStack() as stack:
        if address.startswith(("http://", "https://")):
            stack.enter_context(_pushed(address, registry, job, every_s))
        elif found := re.fullmatch(r"(\S+):(\d+)", address):
            stack.enter_context(_served(found[1].strip("[]"), int(found[2]), registry))
        elif address:
            raise SettingsError(
                f"Expected the http address of a Pushgateway or HOST:PORT as backend.metrics, got '{address}'. "
                "For example http://pushgateway:9091, or 127.0.0.1:9464."
            )
        yield


@contextmanager
def _pushed(address: str, registry: CollectorRegistry, job: str, every_s: float) -> Iterator[None]:
    # one group for each machine and job: as many as there are machines, however many runs
    instance = os.environ.get(INSTANCE) or socket.gethostname()
    said = threading.Event()

    def push() -> None:
        try:
            push_to_gateway(
                address,
                job=f"lucidflux-{job}",
                registry=registry,
                grouping_key={"instance": instance},
                timeout=ANSWER_SECONDS,
                handler=default_handler,
            )
        except (OSError, HTTPException) as error:
            if not said.is_set():
                _LOG.warning("no figures reach the Pushgateway at %s (backend.metrics): %s", address, error)
            said.set()

    ended = threading.Event()
    thread = threading.Thread(target=_repeat, args=(push, ended, every_s), name="metrics", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        push()


def _repeat(push: Callable[[], None], ended: threading.Event, every_s: float) -> None:
    while not ended.wait(every_s):
        push()


@contextmanager
def _served(host: str, port: int, registry: CollectorRegistry) -> Iterator[None]:
    try:
        server, thread = start_http_server(port, addr=host, registry=registry)
    except OSError as error:
        _LOG.warning("no figures are served at %s:%d (backend.metrics): %s", host, port, error)
        yield
        return
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

"""A real S3 server over HTTP (moto) behind a layer that spoils a share of the answers, the same ones each time."""

from __future__ import annotations

import hashlib
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

KINDS = ("500", "503", "reset", "lost", "cut")
"""Two refusals; a connection reset before and one after the work was done; a body that ends in the middle."""


def credentials(endpoint: str) -> dict[str, str]:
    """Environment that leads boto3 to a server of ours."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }


class Faulty:
    """A WSGI layer; which answers it spoils depends on the request and on how often it came, not on time or threads."""

    def __init__(self, application: Callable[..., Iterable[bytes]], share: float, seed: int) -> None:
        self.application, self.share, self.seed = application, share, seed
        self.requests: Counter[str] = Counter()
        self.spoilt: Counter[str] = Counter()
        self.lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        kind = self._kind(environ)
        if kind in ("500", "503"):
            start_response(f"{kind} Spoilt", [("Content-Type", "application/xml"), ("Connection", "close")])
            return [f"<Error><Code>{'SlowDown' if kind == '503' else 'InternalError'}</Code></Error>".encode()]
        if kind == "reset":
            return _reset(environ)
        if not kind:
            return self.application(environ, start_response)
        said: list[Any] = []
        body = b"".join(self.application(environ, lambda *words: said.extend(words[:2])))
        if kind == "lost" or len(body) < 2:
            return _reset(environ)
        kept = [(name, value) for name, value in said[1] if name.lower() not in ("content-length", "connection")]
        start_response(said[0], [*kept, ("Content-Length", str(len(body))), ("Connection", "close")])
        return [body[: len(body) // 2]]

    def _kind(self, environ: dict[str, Any]) -> str:
        """Decide what happens to a request; empty is nothing."""
        query = "&".join(word for word in environ["QUERY_STRING"].split("&") if "token" not in word and "uploadId" not in word)
        request = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']} {query} {environ.get('HTTP_RANGE', '')}"
        with self.lock:
            self.requests[request] += 1
            digest = hashlib.sha256(f"{self.seed} {request} {self.requests[request]}".encode()).digest()
            if int.from_bytes(digest[:4]) >= self.share * 2**32:
                return ""
            kind = KINDS[digest[4] % len(KINDS)]
            self.spoilt[kind] += 1
        return kind


def _reset(environ: dict[str, Any]) -> Iterable[bytes]:
    """Close the connection with a reset, as a machine that went away does."""
    connection: socket.socket = environ["werkzeug.socket"]
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.shutdown(socket.SHUT_RDWR)
    raise ConnectionResetError


@contextmanager
def serving(share: float = 0.2, seed: int = 0) -> Iterator[tuple[str, Faulty]]:
    """Start the server on a free port; gives its address and the layer."""
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        def log(self, *_: object) -> None:
            """Say nothing."""

    layer = Faulty(DomainDispatcherApplication(create_backend_app), share, seed)
    server = make_server("127.0.0.1", 0, layer, threaded=True, request_handler=Quiet)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}", layer
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

"""A web server on a free port that answers well or badly, as its paths say."""

from __future__ import annotations

import asyncio
import gzip
import socket
import threading
import zlib
from collections import Counter

from aiohttp import web

PICTURE = b"\xff\xd8\xff\xe0" + bytes(range(256)) * 40
"""Starts like a JPEG; the source looks no further."""


class Site:
    """Serves on every local address, so that what is refused would have been answered."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.hosts: Counter[str] = Counter()
        self.headers: dict[str, str] = {}
        self.now = self.most = 0
        self.pictures: list[bytes] = []

    def __enter__(self) -> Site:
        self.listener = socket.create_server(("0.0.0.0", 0))
        self.port = self.listener.getsockname()[1]
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.started = threading.Event()
        self.thread.start()
        self.started.wait()
        return self

    def _serve(self) -> None:
        self.loop.run_until_complete(self._start())
        self.started.set()
        self.loop.run_forever()
        self.loop.run_until_complete(self.runner.cleanup())
        self.loop.close()

    async def _start(self) -> None:
        app = web.Application()
        app.router.add_get("/{path:.*}", self._answer)
        self.runner = web.AppRunner(app, shutdown_timeout=0, access_log=None, handler_cancellation=True)
        await self.runner.setup()
        await web.SockSite(self.runner, self.listener).start()

    def __exit__(self, *_: object) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}/{path}"

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        path = request.match_info["path"]
        self.asked[path] += 1
        self.hosts[request.headers["Host"]] += 1
        self.headers = dict(request.headers)
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            return await getattr(self, path.partition("/")[0])(request, path.partition("/")[2])
        finally:
            self.now -= 1

    async def ok(self, request: web.Request, rest: str) -> web.Response:
        return web.Response(body=PICTURE + rest.encode(), content_type="image/jpeg")

    async def photo(self, request: web.Request, number: str) -> web.Response:
        return web.Response(body=self.pictures[int(number)])

    async def late(self, request: web.Request, seconds: str) -> web.Response:
        await asyncio.sleep(float(seconds))
        return web.Response(body=PICTURE + seconds.encode())

    async def empty(self, request: web.Request, rest: str) -> web.Response:
        return web.Response(body=b"")

    async def status(self, request: web.Request, code: str) -> web.Response:
        return web.Response(status=int(code), headers={"X-Robots-Tag": "noai"} if code == "404" else {})

    async def html(self, request: web.Request, rest: str) -> web.Response:
        return web.Response(body=b"<html>" + b"no picture" * 100, content_type="image/jpeg")

    async def no(self, request: web.Request, word: str) -> web.Response:
        return web.Response(body=PICTURE, headers={"X-Robots-Tag": word})

    async def reserved(self, request: web.Request, rest: str) -> web.Response:
        return web.Response(body=PICTURE, headers={"TDM-Reservation": "1"})

    async def to(self, request: web.Request, rest: str) -> web.Response:
        return web.Response(status=302, headers={"Location": request.query["url"]} if "url" in request.query else {})

    async def loop_(self, request: web.Request, rest: str) -> web.Response:
        return web.Response(status=307, headers={"Location": f"/loop_/{int(rest) + 1}"})

    async def hops(self, request: web.Request, rest: str) -> web.Response:
        left = int(rest)
        return web.Response(status=301, headers={"Location": f"/hops/{left - 1}" if left > 1 else "/ok/end"})

    async def busy(self, request: web.Request, rest: str) -> web.Response:
        """`busy/STATUS/SECONDS/TIMES/NAME`: busy so many times, then well."""
        status, seconds, times, _ = rest.split("/")
        if self.asked[request.match_info["path"]] <= int(times):
            return web.Response(status=int(status), headers={"Retry-After": seconds} if seconds else {})
        return web.Response(body=PICTURE)

    async def cut(self, request: web.Request, times: str) -> web.StreamResponse:
        """Stop in the middle so many times, then answer well."""
        if self.asked[request.match_info["path"]] > int(times):
            return web.Response(body=PICTURE)
        return await self._begin(request, len(PICTURE), close=True)

    async def stall(self, request: web.Request, rest: str) -> web.StreamResponse:
        response = await self._begin(request, len(PICTURE))
        await asyncio.sleep(60)
        return response

    async def drip(self, request: web.Request, rest: str) -> web.StreamResponse:
        response = await self._begin(request, len(PICTURE))
        while True:
            await asyncio.sleep(0.02)
            await response.write(b"x")

    async def endless(self, request: web.Request, rest: str) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        await response.write(PICTURE[:100])
        while True:
            await response.write(bytes(4096))

    async def announced(self, request: web.Request, size: str) -> web.StreamResponse:
        return await self._begin(request, int(size))

    async def sized(self, request: web.Request, size: str) -> web.Response:
        return web.Response(body=PICTURE[:4] + bytes(int(size.partition("/")[0]) - 4))

    async def packed(self, request: web.Request, kind: str) -> web.Response:
        bodies = {
            "gzip": lambda: gzip.compress(PICTURE),
            "deflate": lambda: zlib.compress(PICTURE),
            "bomb": lambda: gzip.compress(PICTURE[:16] + bytes(8 << 20), 1),
            "cut": lambda: gzip.compress(PICTURE)[:-20],
            "false": lambda: PICTURE,
            "html": lambda: gzip.compress(b"<html>" * 99),
        }
        return web.Response(body=bodies[kind](), headers={"Content-Encoding": "deflate" if kind == "deflate" else "gzip"})

    async def drop(self, request: web.Request, rest: str) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async def garbage(self, request: web.Request, rest: str) -> web.Response:
        assert request.transport is not None
        request.transport.write(b"HTTP/1.1 banana\r\n\r\n")
        request.transport.close()
        return web.Response()

    async def _begin(self, request: web.Request, length: int, *, close: bool = False) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(length)})
        await response.prepare(request)
        await response.write(PICTURE[:1000])
        if close:
            assert request.transport is not None
            request.transport.close()
        return response

"""Asking for pictures on the web: politely, within limits, and only public addresses; the one home of aiohttp."""

from __future__ import annotations

import asyncio
import random
import socket
import time
import zlib
from collections import defaultdict
from collections.abc import Mapping
from types import TracebackType
from typing import Any

import aiohttp
from aiohttp.abc import ResolveResult
from yarl import URL

from components.errors import DecodeError
from components.imaging import codec
from components.ingest.room import Share
from components.ingest.settings import UrlSettings
from components.ingest.web_policy import Policy, is_public, opted_out, seconds_to_wait

REASONS: Mapping[str, str] = {
    "no_url": "the row holds no address",
    "bad_url": "no http or https address, or a redirect to none",
    "forbidden_port": "a port that is not in ingest.urls.allow_ports",
    "private_address": "the host has no public address, or a redirect leads to one without",
    "no_such_host": "the host's name is not known",
    "connection_failed": "no connection, or it was lost before the answer",
    "bad_certificate": "the host cannot prove its name",
    "timed_out": "no connection, or no further byte, in time",
    "slow_download": "the whole answer took too long",
    "host_unavailable": "not asked: the host had failed too often in a row, or asked for a longer wait than is allowed",
    "too_many_redirects": "one more redirect than is followed",
    "opted_out": "the site forbids this use in a header",
    "too_many_bytes": "more bytes than the limit, announced or read, packed or unpacked",
    "cut": "the connection ended before the content did",
    "wrong_type": "the content is no picture, whatever the header says",
    "bad_answer": "no valid HTTP",
}
"""Every verdict of an address beside http_<status>, and what it means."""

SIGNATURE_BYTES = 16
DNS_THREADS = 32
DNS_SECONDS = 300
_REDIRECTS = {301, 302, 303, 307, 308}
_TRANSIENT = {408, 425, 429, 500, 502, 503, 504}
_BUSY = {429, 503}
_ERRORS: tuple[tuple[type[Exception], str, bool], ...] = (
    (aiohttp.InvalidURL, "bad_url", False),
    (aiohttp.NonHttpUrlClientError, "bad_url", False),
    (aiohttp.ServerTimeoutError, "timed_out", True),
    (aiohttp.ClientConnectorCertificateError, "bad_certificate", False),
    (aiohttp.ClientPayloadError, "cut", True),
    (aiohttp.ClientResponseError, "bad_answer", False),
    (aiohttp.ClientError, "connection_failed", True),
)
"""(error, reason, whether asking again may help), the first that fits."""


class PrivateAddress(OSError):
    """A connection to an address inside a network was asked for."""


class _Transient(Exception):
    """Asking again may help."""

    def __init__(self, reason: str, host: _Host, *, busy: bool = False, wait_seconds: float | None = None) -> None:
        super().__init__(reason)
        self.reason, self.host, self.busy, self.wait_seconds = reason, host, busy, wait_seconds


class _Host:
    """What is known of one host: who may ask now, and how it went lately."""

    def __init__(self, concurrency: int) -> None:
        self.slots = asyncio.Semaphore(concurrency)
        self.ready_at = 0.0
        self.failures = 0

    async def turn(self, delay_seconds: float) -> None:
        """Wait until the host may be asked."""
        clock = asyncio.get_running_loop().time
        while (wait := self.ready_at - clock()) > 0:
            await asyncio.sleep(wait)
        self.ready_at = clock() + delay_seconds

    def rest(self, seconds: float) -> None:
        """Leave the host alone for a while."""
        self.ready_at = max(self.ready_at, asyncio.get_running_loop().time() + seconds)


class _Resolver(aiohttp.ThreadedResolver):
    """Remembers the addresses of the hosts that are allowed by name."""

    def __init__(self, policy: Policy) -> None:
        super().__init__()
        self.policy = policy
        self.allowed: set[tuple[str, int]] = set()

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[ResolveResult]:
        found = await super().resolve(host, port, family)
        if self.policy.names(host, port):
            self.allowed |= {(result["host"], port) for result in found}
        return found


class Web:
    """A client for pictures; an async context of one event loop."""

    def __init__(self, settings: UrlSettings, max_bytes: int) -> None:
        """Take the limits.

        Args:
            settings: see there.
            max_bytes: of one picture.
        """
        self.settings, self.max_bytes = settings, max_bytes
        self.policy = Policy(frozenset(settings.allow_ports), frozenset(host.lower() for host in settings.allow_hosts))
        self.slots = asyncio.Semaphore(settings.concurrency)
        self.hosts: defaultdict[str, _Host] = defaultdict(lambda: _Host(settings.host_concurrency))

    async def __aenter__(self) -> Web:
        """Open the client."""
        self.resolver = _Resolver(self.policy)
        connector = aiohttp.TCPConnector(limit=0, resolver=self.resolver, ttl_dns_cache=DNS_SECONDS, socket_factory=self._socket)
        waits = aiohttp.ClientTimeout(connect=self.settings.connect_seconds, sock_read=self.settings.read_seconds)
        headers = {"User-Agent": self.settings.user_agent, "Accept": "image/*", "Accept-Encoding": "identity"}
        self.session = aiohttp.ClientSession(
            connector=connector, timeout=waits, headers=headers, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False
        )
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close every connection."""
        await self.session.close()

    def _socket(self, info: tuple[Any, ...]) -> socket.socket:
        """Make the socket of a connection; whatever name or redirect led here, the address itself is judged."""
        family, kind, protocol, _, (host, port, *_) = info
        if not (is_public(host) or self.policy.names(host, port) or (host, port) in self.resolver.allowed):
            raise PrivateAddress("this address is not public")
        return socket.socket(family, kind, protocol)

    async def fetch(self, url: str, share: Share) -> bytes:
        """Give the content of an address.

        Args:
            url: http or https.
            share: counts the bytes while they are read.

        Raises:
            DecodeError: with one of REASONS or http_<status>.
            NoRoom: from `share`.
        """
        for attempt in range(1, self.settings.attempts + 1):
            try:
                return await self._follow(url, share)
            except _Transient as failure:
                await self._wait(failure, attempt)
        raise AssertionError("the last attempt raises")

    async def _wait(self, failure: _Transient, attempt: int) -> None:
        """Wait before another attempt; raises DecodeError when there is none."""
        most = self.settings.backoff_most_seconds
        failure.host.failures += 1
        wait = failure.wait_seconds
        if wait is None:
            spread = random.uniform(0.5, 1.5)  # noqa: S311
            wait = min(self.settings.backoff_seconds * 2 ** (attempt - 1) * spread, most)
        if wait > most:
            failure.host.failures = self.settings.host_failures
        elif failure.busy:
            failure.host.rest(wait)
        if attempt == self.settings.attempts or wait > most:
            raise DecodeError(failure.reason, f"{attempt} times") from failure
        if not failure.busy:
            await asyncio.sleep(wait)

    async def _follow(self, url: str, share: Share) -> bytes:
        """Ask and follow redirects, each as careful as the first."""
        try:
            at = URL(url)
        except ValueError as error:
            raise DecodeError("bad_url", url) from error
        for _ in range(self.settings.max_redirects + 1):
            answer = await self._ask(at, share)
            if isinstance(answer, bytes):
                return answer
            at = answer
        raise DecodeError("too_many_redirects", f"more than {self.settings.max_redirects}")

    async def _ask(self, at: URL, share: Share) -> bytes | URL:
        """Ask one address once, when its host and the whole have a place free."""
        self.policy.check(at.scheme, at.host, at.port)
        host = self.hosts[str(at.host)]
        async with host.slots:
            await host.turn(self.settings.host_delay_seconds)
            async with self.slots:
                if host.failures >= self.settings.host_failures:
                    raise DecodeError("host_unavailable", str(at.host))
                share.clear()
                answer = await self._exchange(at, host, share)
                host.failures = 0
                return answer

    async def _exchange(self, at: URL, host: _Host, share: Share) -> bytes | URL:
        """One request and its answer; every error becomes a reason."""
        try:
            async with asyncio.timeout(self.settings.total_seconds), self.session.get(at, allow_redirects=False) as response:
                return await self._answer(response, host, share)
        except aiohttp.ClientError as error:
            reason, again = _judged(error)
            if again:
                raise _Transient(reason, host) from error
            raise DecodeError(reason, str(error)) from error
        except TimeoutError as error:
            raise DecodeError("slow_download", str(at)) from error
        except ValueError as error:
            raise DecodeError("bad_url", str(error)) from error

    async def _answer(self, response: aiohttp.ClientResponse, host: _Host, share: Share) -> bytes | URL:
        """Judge an answer by its head, and read it when it is a picture's."""
        status, headers = response.status, response.headers
        if status in _TRANSIENT:
            busy = status in _BUSY
            wait = seconds_to_wait(headers.get("Retry-After", ""), time.time()) if busy else None
            raise _Transient(f"http_{status}", host, busy=busy, wait_seconds=wait)
        if status != 200 and status not in _REDIRECTS:
            raise DecodeError(f"http_{status}")
        agent = self.settings.user_agent.partition("/")[0]
        robots, tdm = headers.getall("X-Robots-Tag", []), headers.get("TDM-Reservation", "")
        if word := opted_out(robots, tdm, self.settings.opt_out, agent):
            raise DecodeError("opted_out", word)
        if status != 200:
            return _target(response)
        return await self._content(response, share)

    async def _content(self, response: aiohttp.ClientResponse, share: Share) -> bytes:
        """Read a picture, and stop as soon as it is none or too long."""
        if (response.content_length or 0) > self.max_bytes:
            raise DecodeError("too_many_bytes", f"{response.content_length} announced; at most {self.max_bytes}")
        packed = response.headers.get("Content-Encoding", "identity").lower() in {"gzip", "x-gzip", "deflate"}
        data, judged = bytearray(), packed
        async for piece in response.content.iter_any():
            data += piece
            share.hold(len(piece))
            if len(data) > self.max_bytes:
                raise DecodeError("too_many_bytes", f"at most {self.max_bytes} (ingest.urls.max_bytes)")
            if not judged and len(data) >= SIGNATURE_BYTES:
                judged = _require_picture(data)
        if packed:
            data = _unpacked(data, self.max_bytes)
            share.hold(len(data))
        if packed or not judged:
            _require_picture(data)
        return bytes(data)


def _target(response: aiohttp.ClientResponse) -> URL:
    """Where a redirect leads; an address that cannot be read is a ValueError."""
    if place := response.headers.get("Location"):
        return response.url.join(URL(place))
    raise DecodeError("bad_url", "a redirect to nowhere")


def _judged(error: aiohttp.ClientError) -> tuple[str, bool]:
    """Give the reason for an error, and whether asking again may help."""
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "no_such_host", error.os_error.errno == socket.EAI_AGAIN
    if isinstance(error, aiohttp.ClientConnectorError) and isinstance(error.os_error, PrivateAddress):
        return "private_address", False
    return next((reason, again) for kind, reason, again in _ERRORS if isinstance(error, kind))


def _require_picture(data: bytearray) -> bool:
    """Refuse what does not start like a picture, or say yes; what breaks further on is the decoder's to say."""
    try:
        codec.identify(bytes(data[:SIGNATURE_BYTES]))
    except DecodeError as error:
        if error.reason == "not_an_image":
            raise DecodeError("wrong_type", f"starts with {bytes(data[:8])!r}") from error
    return True


def _unpacked(data: bytearray, max_bytes: int) -> bytearray:
    """Unpack gzip or deflate, which was not asked for, up to the limit and not a byte further."""
    stream = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
    try:
        plain = stream.decompress(data, max_bytes + 1)
    except zlib.error as error:
        raise DecodeError("wrong_type", f"not packed as announced: {error}") from error
    if len(plain) > max_bytes:
        raise DecodeError("too_many_bytes", f"unpacked; at most {max_bytes} (ingest.urls.max_bytes)")
    if not stream.eof:
        raise DecodeError("cut", "the packed content has no end")
    return bytearray(plain)

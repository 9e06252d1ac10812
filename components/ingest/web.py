"""Asking for pictures on the web: politely, within limits, and only public addresses; the one home of aiohttp."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import aiohttp
from aiohttp.abc import ResolveResult
from yarl import URL

from components.errors import DecodeError
from components.ingest.manners import Host, Transient, opted_out, seconds_to_wait
from components.ingest.room import Share
from components.ingest.settings import UrlSettings
from components.ingest.web_content import SIGNATURE_BYTES, require_picture, unpacked
from components.ingest.web_policy import Policy, is_public

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

DNS_THREADS = 32
DNS_SECONDS = 300
_REDIRECTS = {301, 302, 303, 307, 308}
_PASSING = {408, 425, 429, 500, 502, 503, 504}
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
    """A client for pictures, of one event loop."""

    def __init__(self, settings: UrlSettings, max_bytes: int) -> None:
        """Take the limits.

        Args:
            settings: see there.
            max_bytes: of one picture.
        """
        self.settings, self.max_bytes = settings, max_bytes
        self.policy = Policy(frozenset(settings.allow_ports), frozenset(host.lower() for host in settings.allow_hosts))
        self.slots = asyncio.Semaphore(settings.concurrency)
        self.hosts: defaultdict[str, Host] = defaultdict(lambda: Host(settings.host_concurrency))

    async def open(self) -> None:
        """Make the client; inside the event loop that will use it."""
        self.resolver = _Resolver(self.policy)
        connector = aiohttp.TCPConnector(limit=0, resolver=self.resolver, ttl_dns_cache=DNS_SECONDS, socket_factory=self._socket)
        waits = aiohttp.ClientTimeout(connect=self.settings.connect_seconds, sock_read=self.settings.read_seconds)
        headers = {"User-Agent": self.settings.user_agent, "Accept": "image/*", "Accept-Encoding": "identity"}
        self.session = aiohttp.ClientSession(
            connector=connector, timeout=waits, headers=headers, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False
        )

    async def close(self) -> None:
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
            except Transient as failure:
                await self._wait(failure, attempt)
        raise AssertionError("the last attempt raises")

    async def _wait(self, failure: Transient, attempt: int) -> None:
        """Wait before another attempt; raises DecodeError when there is none."""
        most = self.settings.backoff_most_seconds
        wait = failure.wait_seconds
        if wait is None:
            spread = random.uniform(0.5, 1.5)  # noqa: S311
            wait = min(self.settings.backoff_seconds * 2 ** (attempt - 1) * spread, most)
        if wait > most:
            failure.host.given_up = True
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
                if host.given_up or host.failures >= self.settings.host_failures:
                    raise DecodeError("host_unavailable", str(at.host))
                share.clear()
                return await self._judged_exchange(at, host, share)

    async def _judged_exchange(self, at: URL, host: Host, share: Share) -> bytes | URL:
        """Exchange, and remember of the host whether it answered in time; a clear no is an answer."""
        try:
            answer = await self._exchange(at, host, share)
        except Transient:
            host.failures += 1
            raise
        except DecodeError as error:
            host.failures = host.failures + 1 if error.reason == "slow_download" else 0
            raise
        host.failures = 0
        return answer

    async def _exchange(self, at: URL, host: Host, share: Share) -> bytes | URL:
        """One request and its answer; every error becomes a reason."""
        try:
            async with asyncio.timeout(self.settings.total_seconds), self.session.get(at, allow_redirects=False) as response:
                return await self._answer(response, host, share)
        except aiohttp.ClientError as error:
            reason, again = _judged(error)
            if again:
                raise Transient(reason, host) from error
            raise DecodeError(reason, str(error)) from error
        except TimeoutError as error:
            raise DecodeError("slow_download", str(at)) from error
        except ValueError as error:
            raise DecodeError("bad_url", str(error)) from error

    async def _answer(self, response: aiohttp.ClientResponse, host: Host, share: Share) -> bytes | URL:
        """Judge an answer by its head, and read it when it is a picture's."""
        status, headers = response.status, response.headers
        if status in _PASSING:
            busy = status in _BUSY
            wait = seconds_to_wait(headers.get("Retry-After", ""), time.time()) if busy else None
            raise Transient(f"http_{status}", host, busy=busy, wait_seconds=wait)
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
                judged = require_picture(data)
        if packed:
            data = unpacked(data, self.max_bytes)
            share.hold(len(data))
        if packed or not judged:
            require_picture(data)
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

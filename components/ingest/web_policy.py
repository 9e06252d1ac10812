"""What may be asked on the web, and what a site's answer forbids; no network here."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from components.errors import DecodeError

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_WITH_VALUE = ("unavailable_after", "max-snippet", "max-image-preview", "max-video-preview")
"""Directives of X-Robots-Tag that carry a colon and are no name of a robot."""


@dataclass(frozen=True)
class Policy:
    """Which addresses may be asked."""

    ports: frozenset[int]
    hosts: frozenset[str]
    """`host` or `host:port` that may be asked whatever its address and port."""

    def check(self, scheme: str, host: str | None, port: int | None) -> None:
        """Refuse an address by what it says; raises DecodeError with `bad_url` or `forbidden_port`."""
        if scheme not in ("http", "https") or not host or not port:
            raise DecodeError("bad_url", f"{scheme}://{host}")
        if port not in self.ports and not self.names(host, port):
            raise DecodeError("forbidden_port", f"{host}:{port}; allowed are {sorted(self.ports)} (ingest.urls.allow_ports)")

    def names(self, host: str, port: int) -> bool:
        """Say whether a host is named as allowed; IPv6 addresses in brackets, as in URLs."""
        name = f"[{host}]" if ":" in host else host.lower()
        return name in self.hosts or f"{name}:{port}" in self.hosts


def is_public(address: str) -> bool:
    """Say whether an IP address belongs to the public internet, also the IPv4 one that an IPv6 one stands for."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        within = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF) if ip in _NAT64 else ip.ipv4_mapped or ip.sixtofour
        if within is not None:
            return is_public(str(within))
        if ip.is_site_local:
            return False
    return ip.is_global and not (ip.is_multicast or ip.is_reserved)


def opted_out(robots: Iterable[str], tdm: str, words: Collection[str], agent: str) -> str:
    """Give the first word that forbids the use of an answer; empty when nothing does.

    Args:
        robots: values of X-Robots-Tag, such as `noai, noindex` or `otherbot: noai`; a robot's name holds for what follows it.
        tdm: value of TDM-Reservation; `1` reserves.
        words: what forbids.
        agent: our own name; what is said to other robots does not count.
    """
    for value in robots:
        ours = True
        for part in value.lower().split(","):
            name, colon, word = (piece.strip() for piece in part.partition(":"))
            if colon and name not in _WITH_VALUE:
                ours = name == agent.lower()
            if ours and (said := word if colon else name) in words:
                return said
    return "tdm-reservation" if tdm.strip() == "1" and "tdm-reservation" in words else ""


def seconds_to_wait(retry_after: str, now: float) -> float | None:
    """Read Retry-After, seconds or a date; None where it says nothing.

    Args:
        retry_after: value of the header.
        now: present time, seconds since 1970.
    """
    if retry_after.strip().isdecimal():
        return float(retry_after)
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - now)
    except (ValueError, OverflowError, OSError):
        return None

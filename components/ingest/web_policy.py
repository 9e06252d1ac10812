"""Which addresses may be asked on the web; no network here."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from components.errors import DecodeError

_NAT64 = ipaddress.ip_network("64:ff9b::/96")


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

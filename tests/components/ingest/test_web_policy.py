import pytest

from components.errors import DecodeError
from components.ingest.web_policy import Policy, is_public


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.1", "172.16.0.1", "192.168.1.1", "127.0.0.1", "127.255.255.254", "0.0.0.0", "169.254.169.254", "100.64.0.1",
        "224.0.0.1", "240.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1", "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1",
        "fd00:ec2::254", "fec0::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "2002:7f00:1::",
        "64:ff9b::7f00:1", "2001:db8::1", "2001::7f00:1",
    ],
)  # fmt: skip
def test_addresses_inside_networks_are_not_public(address):
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]
)
def test_addresses_of_the_internet_are_public(address):
    assert is_public(address)


@pytest.mark.parametrize(
    ("scheme", "host", "port", "reason"),
    [
        ("ftp", "a.org", 21, "bad_url"),
        ("file", "", None, "bad_url"),
        ("http", "", 80, "bad_url"),
        ("http", "a.org", 22, "forbidden_port"),
        ("http", "inside", 9001, "forbidden_port"),
    ],
)
def test_other_schemes_and_ports_are_refused(scheme, host, port, reason):
    policy = Policy(frozenset({80, 443}), frozenset({"inside:9000"}))
    with pytest.raises(DecodeError) as caught:
        policy.check(scheme, host, port)
    assert caught.value.reason == reason


def test_a_named_host_may_have_its_port_and_one_without_any():
    policy = Policy(frozenset({80, 443}), frozenset({"inside:9000", "mirror", "[::1]:8080"}))
    for host, port in (("INSIDE", 9000), ("mirror", 1234), ("::1", 8080), ("a.org", 443)):
        policy.check("http", host, port)

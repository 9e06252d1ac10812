import pytest

from components.errors import DecodeError
from components.ingest.settings import UrlSettings
from components.ingest.web_policy import Policy, is_public, opted_out, seconds_to_wait

WORDS = UrlSettings().opt_out


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


@pytest.mark.parametrize(
    ("robots", "tdm", "word"),
    [
        (["noai"], "", "noai"),
        (["nofollow", "NoImageAI"], "", "noimageai"),
        (["max-snippet: 20, noindex"], "", "noindex"),
        (["unavailable_after: 25 Jun 2010 15:00:00 PST, none"], "", "none"),
        (["LucidFlux: noai"], "", "noai"),
        (["otherbot: nofollow, lucidflux: noai"], "", "noai"),
        (["otherbot: noai, noindex"], "", ""),
        (["all", "noarchive"], "0", ""),
        ([], "1", "tdm-reservation"),
    ],
)
def test_a_site_says_no_in_its_headers(robots, tdm, word):
    assert opted_out(robots, tdm, WORDS, "lucidflux") == word


def test_only_the_words_of_the_settings_count():
    assert opted_out(["noindex"], "1", ("noai",), "lucidflux") == ""


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 40.0),
        ("Thu, 01 Jan 1970 00:00:01 GMT", 0.0),
        ("soon", None),
        ("", None),
        ("-3", None),
    ],
)
def test_a_wait_is_read_from_seconds_or_a_date(header, seconds):
    assert seconds_to_wait(header, now=60.0) == seconds

import pickle
import socket
import threading
import time
import tracemalloc

import pytest

from components.ingest.settings import IngestSettings, UrlSettings
from components.ingest.source import About, Entry
from components.ingest.sources import open_source
from components.ingest.urls import UrlSource
from components.ingest.web import REASONS
from tests.components.ingest.web_site import PICTURE, Site

pytestmark = pytest.mark.e2e


@pytest.fixture
def site():
    with Site() as running:
        yield running


def read(site, *urls, max_bytes=1 << 20, **changes):
    """Give the data or the reason of each address, in order."""
    fast = {"connect_seconds": 2, "read_seconds": 0.4, "total_seconds": 0.8, "backoff_seconds": 0.01, "attempts": 2}
    settings = UrlSettings(**({"allow_hosts": (f"127.0.0.1:{site.port}",)} | fast | changes))
    source = UrlSource("/nowhere", About("web"), max_bytes, settings)
    entries = [Entry(f"l.csv#{number}", "", 0, "", url=url) for number, url in enumerate(urls)]
    got = list(source.read(entries))
    assert [fetched.entry for fetched in got] == entries
    for fetched in got:
        assert (fetched.data is None) == bool(fetched.reason)
        assert fetched.data is not None or fetched.reason in REASONS or fetched.reason.startswith("http_")
    return [fetched.reason if fetched.data is None else fetched.data for fetched in got]


@pytest.mark.parametrize(
    ("path", "reason", "times"),
    [
        ("status/404", "http_404", 1),
        ("status/410", "http_410", 1),
        ("status/204", "http_204", 1),
        ("status/304", "http_304", 1),
        ("status/500", "http_500", 2),
        ("status/503", "http_503", 2),
        ("html/x", "wrong_type", 1),
        ("packed/html", "wrong_type", 1),
        ("packed/false", "wrong_type", 1),
        ("packed/cut", "cut", 1),
        ("cut/9", "cut", 2),
        ("stall/x", "timed_out", 2),
        ("late/9", "timed_out", 2),
        ("drip/x", "slow_download", 1),
        ("drop/x", "connection_failed", 2),
        ("garbage/x", "bad_answer", 1),
        ("endless/x", "too_many_bytes", 1),
        ("announced/1048577", "too_many_bytes", 1),
        ("sized/1048577", "too_many_bytes", 1),
        ("packed/bomb", "too_many_bytes", 1),
        ("no/noimageai", "opted_out", 1),
        ("reserved/x", "opted_out", 1),
        ("to/x", "bad_url", 1),
        ("to/x?url=ftp://127.0.0.1/x", "bad_url", 1),
        ("to/x?url=http://[x/", "bad_url", 1),
    ],
)
def test_every_failure_has_its_reason_and_only_passing_ones_are_tried_again(site, path, reason, times):
    assert read(site, site.url(path)) == [reason]
    again_by_itself = path == "drop/x"  # aiohttp asks once more when a connection is lost before the answer
    assert times <= site.asked[path.partition("?")[0]] <= times * (1 + again_by_itself)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "no_url"),
        ("not an address", "bad_url"),
        ("/x.jpg", "bad_url"),
        ("file:///etc/passwd", "bad_url"),
        ("http://", "bad_url"),
        ("http://[x/", "bad_url"),
        ("http://x:99999/", "bad_url"),
        ("http://a..b/", "bad_url"),
        ("http://no-such-host.invalid/", "no_such_host"),
        ("http://127.0.0.1:1/", "forbidden_port"),
    ],
)
def test_an_address_that_cannot_be_asked_has_its_reason(site, url, reason):
    assert read(site, url) == [reason]


def test_a_port_where_nobody_listens_is_tried_again_and_fails(site):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert read(site, f"http://127.0.0.1:{port}/", allow_hosts=("127.0.0.1",)) == ["connection_failed"]


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.2",
        "localhost",
        "0.0.0.0",
        "[::ffff:127.0.0.1]",
        "[::1]",
        "0x7f000001",
        "127.1",
        "2130706433",
        "0177.0.0.1",
    ],
)
def test_a_private_address_is_never_connected_to_however_it_is_written(site, host):
    (reason,) = read(site, site.url("ok/x", host), allow_hosts=(), allow_ports=(site.port,))
    assert reason in {"private_address", "bad_url"}
    assert not site.asked


@pytest.mark.parametrize("host", ["127.0.0.2", "[::ffff:127.0.0.2]"])
def test_a_redirect_from_an_allowed_host_to_a_private_address_is_refused(site, host):
    address = site.url(f"to/x?url={site.url('ok/x', host)}")
    assert read(site, address, allow_ports=(80, site.port)) == ["private_address"]
    assert read(site, address) == ["forbidden_port"]
    assert site.asked["ok/x"] == 0


def test_a_name_is_judged_by_the_address_it_leads_to_when_the_connection_is_made(site, monkeypatch):
    answers = iter([[(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.3", site.port))]] * 9)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: next(answers))
    assert read(site, site.url("ok/x", "innocent.example"), allow_ports=(site.port,)) == ["private_address"]
    assert not site.asked


def test_a_host_that_is_allowed_by_name_may_be_private(site):
    assert read(site, site.url("ok/x", "localhost"), allow_hosts=(f"localhost:{site.port}",)) == [PICTURE + b"x"]


def test_redirects_are_followed_up_to_the_limit(site):
    assert read(site, site.url("hops/5"), site.url("hops/6"), site.url("loop_/0"), max_redirects=5) == [
        PICTURE + b"end",
        "too_many_redirects",
        "too_many_redirects",
    ]


@pytest.mark.parametrize("path", ["cut/1", "busy/500//1/x", "busy/429/0/1/x", "busy/503//1/x", "packed/gzip", "packed/deflate"])
def test_what_passes_is_tried_again_and_gives_the_picture(site, path):
    assert read(site, site.url(path)) == [PICTURE]


def test_a_busy_host_is_left_alone_as_long_as_it_asks(site):
    begin = time.monotonic()
    assert read(site, site.url("busy/429/1/1/a"), site.url("ok/b"), host_concurrency=1) == [PICTURE, PICTURE + b"b"]
    assert time.monotonic() - begin >= 1


def test_a_host_that_asks_for_too_long_a_wait_is_not_asked_again(site):
    urls = [site.url("busy/429/3600/1/a"), *(site.url(f"ok/{number}") for number in range(5))]
    assert read(site, *urls, host_concurrency=1) == ["http_429", *["host_unavailable"] * 5]
    assert sum(site.asked.values()) == 1


def test_a_host_that_fails_in_a_row_is_given_up_and_others_are_not(site):
    urls = [site.url(f"status/500?{number}") for number in range(6)] + [site.url("ok/x", "localhost")]
    got = read(site, *urls, host_concurrency=1, host_failures=4, allow_hosts=("127.0.0.1", "localhost"))
    assert got.count("host_unavailable") >= 2
    assert got[-1] == PICTURE + b"x"
    assert site.asked["status/500"] <= 4 + 1


@pytest.mark.parametrize("answer", ["ok", "status/404", "html"])
def test_an_answer_between_failures_keeps_a_host(site, answer):
    urls = [
        site.url(path)
        for number in range(4)
        for path in (f"status/500?{number}", f"{answer}/{number}" if answer == "ok" else answer)
    ]
    assert "host_unavailable" not in read(site, *urls, host_concurrency=1, host_failures=2, attempts=1)


def test_a_host_whose_contents_never_end_in_time_is_given_up(site):
    urls = [site.url(f"drip/{number}") for number in range(4)]
    got = read(site, *urls, host_concurrency=1, host_failures=2, total_seconds=0.2)
    assert got == ["slow_download", "slow_download", "host_unavailable", "host_unavailable"]


def test_results_come_in_the_order_of_the_rows(site):
    urls = [site.url(f"late/{0.1 - number / 1000}") for number in range(0, 100, 10)]
    assert read(site, *urls) == [PICTURE + url.rpartition("/")[2].encode() for url in urls]


@pytest.mark.parametrize("limit", ["concurrency", "host_concurrency"])
def test_requests_at_one_time_stay_within_the_limits(site, limit):
    urls = [site.url(f"late/0.0{number % 9}", ("127.0.0.1", "localhost")[number % 2]) for number in range(24)]
    got = read(site, *urls, allow_hosts=("127.0.0.1", "localhost"), **{limit: 3})
    assert all(isinstance(data, bytes) for data in got)
    assert 2 <= site.most <= (3 if limit == "concurrency" else 6)


def test_requests_to_one_host_keep_their_distance(site):
    begin = time.monotonic()
    read(site, *(site.url(f"ok/{number}") for number in range(5)), host_delay_seconds=0.05)
    assert time.monotonic() - begin >= 0.2


def test_memory_stays_within_the_buffer_while_large_pictures_wait(site):
    size, count = 1 << 20, 48
    urls = [site.url(f"sized/{size}/{number}") for number in range(count)]
    settings = UrlSettings(allow_hosts=(f"127.0.0.1:{site.port}",), buffer_bytes=6 * size, total_seconds=30)
    source = UrlSource("/nowhere", About("web"), size, settings)
    entries = [Entry(str(number), "", 0, "", url=url) for number, url in enumerate(urls)]
    tracemalloc.start()
    sizes = [len(fetched.data or b"") for fetched in source.read(entries)]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sizes == [size] * count
    assert peak < 24 * size


def test_pictures_larger_than_the_whole_buffer_still_come_one_after_the_other(site):
    urls = [site.url(f"sized/300000/{number}") for number in range(12)]
    assert [len(data) for data in read(site, *urls, buffer_bytes=1000, total_seconds=20)] == [300_000] * 12


def test_a_reader_who_stops_early_leaves_no_thread_behind(site):
    settings = UrlSettings(allow_hosts=(f"127.0.0.1:{site.port}",))
    entries = [Entry(str(number), "", 0, "", url=site.url("late/0.05")) for number in range(50)]
    reading = UrlSource("/nowhere", About("web"), 1 << 20, settings).read(entries)
    next(reading)
    reading.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "urls"]


def test_requests_say_who_asks_and_for_what(site):
    read(site, site.url("ok/x"), user_agent="lucidflux/0.1 (me@example.org)")
    assert site.headers["User-Agent"] == "lucidflux/0.1 (me@example.org)"
    assert (site.headers["Accept"], site.headers["Accept-Encoding"]) == ("image/*", "identity")


def test_an_empty_answer_is_left_to_the_decoder(site):
    assert read(site, site.url("empty/x")) == [b""]


def test_a_url_source_reaches_a_worker(tmp_path):
    (tmp_path / "l.csv").write_bytes(b"url\nhttp://a\n")
    source = open_source(f"urls:{tmp_path / 'l.csv'}?licence=CC0", IngestSettings())
    assert source.about == About("l", "CC0")
    assert pickle.loads(pickle.dumps(source)) == source

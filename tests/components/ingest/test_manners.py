import pytest

from components.ingest.manners import opted_out, seconds_to_wait
from components.ingest.settings import UrlSettings

WORDS = UrlSettings().opt_out


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

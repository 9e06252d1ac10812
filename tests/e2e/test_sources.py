"""Tars and lists of addresses through the whole ingest, with worker processes."""

import numpy as np
import pytest

from components.backends import manifest
from components.backends.storage import LocalStorage
from components.imaging import codec
from components.ingest.run import ingest
from components.ingest.settings import IngestSettings, UrlSettings
from tests.components.ingest.web_site import Site

pytestmark = pytest.mark.e2e


def picture(number):
    return codec.encode_jpeg(np.random.default_rng(number).integers(0, 256, (64, 64, 3), dtype=np.uint8), 90)


def verdicts(store, handle):
    return {row["origin"]: (row["verdict"], row["reason"]) for row in manifest.rows(store, handle)}


def test_a_webdataset_keeps_its_licences_and_gives_the_pictures_that_webdataset_gives(tmp_path):
    import webdataset

    with webdataset.TarWriter(str(tmp_path / "a-0.tar")) as tar:
        for number in range(6):
            tar.write(
                {
                    "__key__": f"{number:03}",
                    "jpg": picture(number),
                    "json": {"license": f"L{number}", "url": f"http://x/{number}"},
                }
            )
    store = LocalStorage(tmp_path / "objects")
    handle = ingest([f"tar:{tmp_path / 'a-0.tar'}?trusted=true"], IngestSettings(), objects=store.root)
    rows = manifest.rows(store, handle)
    theirs = [sample["jpg"] for sample in webdataset.WebDataset(str(tmp_path / "a-0.tar"), shardshuffle=False)]
    assert [store.read_range(row["shard"], row["offset"], row["length"]) for row in rows] == theirs
    assert [(row["licence"], row["url"], row["trusted"]) for row in rows] == [(f"L{n}", f"http://x/{n}", True) for n in range(6)]


def test_every_address_has_a_verdict_and_a_second_run_asks_nothing(tmp_path):
    with Site() as site:
        site.pictures = [picture(number) for number in range(30)]
        paths = [f"photo/{number}" for number in range(30)] + [
            "status/404",
            "html/x",
            "cut/9",
            "stall/x",
            "to/x?url=http://10.0.0.1/",
        ]
        (tmp_path / "l.csv").write_text("url\n" + "".join(f"{site.url(path)}\n" for path in paths))
        urls = UrlSettings(allow_hosts=(f"127.0.0.1:{site.port}",), read_seconds=1, attempts=2, backoff_seconds=0.1)
        settings = IngestSettings(shard_pictures=10, urls=urls)
        store = LocalStorage(tmp_path / "objects")
        handle = ingest([f"urls:{tmp_path / 'l.csv'}"], settings, objects=store.root, workers=2)
        asked = sum(site.asked.values())
        assert ingest([f"urls:{tmp_path / 'l.csv'}"], settings, objects=store.root, workers=2) == handle
        assert sum(site.asked.values()) == asked
    found = list(verdicts(store, handle).values())
    assert found[:30] == [("kept", "")] * 30
    assert [reason for _, reason in found[30:]] == ["http_404", "wrong_type", "cut", "timed_out", "private_address"]
    assert [row["url"] for row in manifest.rows(store, handle)] == [site.url(path) for path in paths]

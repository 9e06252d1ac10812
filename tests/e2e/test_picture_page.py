"""The picture of a dataset of real photos, opened in a browser that reaches nothing else."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.backends import manifest
from components.backends.shards import write_shard
from components.backends.storage import LocalStorage
from components.curate.picture import Metric, Subject, embedding, make_picture
from components.curate.settings import CurateSettings
from components.imaging import codec, sharpness
from components.records import Manifest
from tests.conftest import ROOT
from tests.e2e.browser import Browser

pytestmark = pytest.mark.e2e

SETTINGS = CurateSettings(keep_share=0.4)
METRIC = Metric("BLUR", "The blur score stands in for a quality here.", higher_is_better=True)
TINY = ROOT / "models" / "tiny"


def scored(store: LocalStorage, folder: Path) -> list[dict[str, Any]]:
    """Rows of the photos of a folder with their own blur and flat share; the blur stands in for a quality."""
    files = sorted(path for path in folder.iterdir() if path.suffix in (".png", ".jpg"))
    data = [path.read_bytes() for path in files]
    rows = []
    for path, content, place in zip(
        files, data, write_shard(store, zip((path.name for path in files), data, strict=True)), strict=True
    ):
        luma = codec.luma(content, limits=codec.STORED)
        blur, flat = sharpness.score(luma)
        row = {"id": hashlib.sha256(content).hexdigest(), "origin": f"{folder.name}/{path.name}", **place._asdict()}
        row |= {"width_px": luma.shape[1], "height_px": luma.shape[0], "blur": blur, "quality": blur}
        rows.append(row | {"flat_share": None if math.isnan(flat) else flat, "verdict": "kept", "reason": ""})
    return rows


def judged(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give some of the rows a verdict, one of each common kind."""
    best = sorted(rows, key=lambda row: -row["quality"])
    kept = {row["origin"] for row in best[: math.ceil(0.4 * len(best))]}
    ruled = [row if row["origin"] in kept else row | {"verdict": "rejected", "reason": "quality_rank"} for row in rows]
    out = [row for row in ruled if row["reason"]]
    out[0] |= {"reason": "leak", "related": "RealSR/x", "quality": None}
    out[1] |= {"reason": "near_duplicate", "related": best[0]["origin"], "group": "g"}
    next(row for row in ruled if row["origin"] == best[0]["origin"])["group"] = "g"
    return [*ruled, {"id": "", "origin": "cut.jpg", "verdict": "failed", "reason": "truncated"}]


@pytest.fixture(scope="module")
def page(test_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = LocalStorage(tmp_path_factory.mktemp("objects"))
    curated = manifest.write(store, "images", judged(scored(store, test_data / "photos_mixed")))
    other: Manifest = manifest.write(store, "images", scored(store, test_data / "real_lq"))
    subject = Subject("Mixed photos", curated, SETTINGS, METRIC, comparisons=[("real_lq", other)], encoder=TINY)
    return store.fetch(make_picture(subject, store=store))


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory):
    with Browser(tmp_path_factory.mktemp("chromium")) as started:
        yield started


@pytest.mark.parametrize(("width", "scheme"), [(1200, "light"), (390, "dark")])
def test_the_page_opens_offline_without_a_complaint_and_fits_the_screen(page, browser, width, scheme):
    browser.open(page, width=width, scheme=scheme)
    assert browser.named("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled", "Network.loadingFailed") == []
    asked = {event["request"]["url"] for event in browser.named("Network.requestWillBeSent")}
    assert {url for url in asked if not url.startswith("data:")} == {page.as_uri()}
    assert browser.value("document.documentElement.scrollWidth") == width
    loaded = "Promise.all([...document.images].map(image => image.decode().then(() => 1))).then(all => all.length)"
    assert browser.value(loaded) > 50


def test_every_part_of_the_page_is_reached_by_the_tabulator_key(page, browser):
    browser.open(page, width=1200, scheme="light")
    reached = set()
    for _ in range(40):
        browser.press("Tab", 9)
        reached.add(browser.value("document.activeElement.getAttribute('href') || document.activeElement.textContent.trim()"))
    sections = json.loads(browser.value("JSON.stringify([...document.querySelectorAll('section')].map(part => '#' + part.id))"))
    assert len(sections) == 8
    assert {*sections, "Versions and settings"} <= reached


def test_colours_follow_the_scheme_and_text_stays_readable_on_them(page, browser):
    contrasts = []
    for scheme in ("light", "dark"):
        browser.open(page, width=1200, scheme=scheme)
        pair = browser.value("(s => [s.color, s.backgroundColor])(getComputedStyle(document.body))")
        light, dark = sorted((luminance(colour) for colour in pair), reverse=True)
        contrasts.append((light + 0.05) / (dark + 0.05))
    assert min(contrasts) > 7  # WCAG AAA


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2) of `rgb(r, g, b)`."""
    channels = np.array([int(part) for part in colour.strip("rgb()").split(",")]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def test_a_page_of_real_photos_stays_small(page):
    assert page.stat().st_size < 6_000_000


def test_the_map_is_drawn_by_the_encoder_of_the_bundle(page):
    assert "image encoder in the base bundle tiny" in page.read_text()
    describe, _ = embedding.encoder_features(TINY)
    dark, light = np.zeros((40, 60, 3), np.uint8), np.full((60, 40, 3), 255, np.uint8)
    features = describe([dark, light, dark])
    assert np.allclose(features[0], features[2])
    assert not np.allclose(features[0], features[1])

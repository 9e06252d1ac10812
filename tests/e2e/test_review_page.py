"""The sheet for a person, opened in a browser that reaches nothing else."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest

from components.backends.storage import LocalStorage
from components.imaging import codec
from components.restore import review_page
from components.restore.control_settings import QualitySettings
from components.restore.quality import Attempt, judged
from tests.e2e.browser import Browser

pytestmark = pytest.mark.e2e

ROWS, COLUMNS = slice(100, 200), slice(100, 200)
ARROW_RIGHT, END = ("ArrowRight", 39), ("End", 35)


@pytest.fixture(scope="module")
def page(test_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = LocalStorage(tmp_path_factory.mktemp("objects"))
    for nth, path in enumerate(sorted((test_data / "photos_hq").glob("kodim*"))[:3]):
        lq_u8 = codec.decode(path.read_bytes()).image_u8
        bad_u8 = cv2.GaussianBlur(lq_u8, (0, 0), 1)
        bad_u8[ROWS, COLUMNS] = 0
        found = judged(lambda seed, fidelity, bad=bad_u8: bad, lq_u8, QualitySettings(), Attempt(seed=0, fidelity=0.0))
        long = f"holiday/{'a-very-long-name-' * 6}{nth}.jpg"
        review_page.keep(store, "job", review_page.reviewed(found, lq_u8, image_id=f"{nth:064x}", origin=long, model="m/1"))
    return store.fetch(review_page.put_page(store, "job", restored=9, shown=9))


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory):
    with Browser(tmp_path_factory.mktemp("chromium")) as started:
        yield started


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
def test_it_fits_and_asks_nobody(page, browser, width, scheme):
    browser.open(page, width=width, scheme=scheme)
    assert browser.value("document.documentElement.scrollWidth") == width
    assert browser.value("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    asked = [one["request"]["url"] for one in browser.named("Network.requestWillBeSent")]
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert browser.named("Runtime.exceptionThrown", "Log.entryAdded") == []


def test_the_line_moves_by_keyboard_and_by_mouse(page, browser):
    browser.open(page, width=390, scheme="light")
    cut = "document.querySelector('.pair').style.getPropertyValue('--cut')"
    assert browser.value("(document.querySelector('.pair input').focus(), document.activeElement.type)") == "range"
    browser.press(*ARROW_RIGHT)
    assert browser.value(cut) == "51%"
    browser.press(*END)
    assert browser.value(cut) == "100%"
    left, top, width, height = browser.value(
        "(box => [box.left, box.top, box.width, box.height])(document.querySelector('.pair').getBoundingClientRect())"
    )
    x, y = left + width / 4, top + height / 2
    for kind in ("mousePressed", "mouseReleased"):
        browser.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
    assert float(browser.value(cut).rstrip("%")) == pytest.approx(25, abs=4)


def test_the_frame_lies_on_the_fault(page, browser):
    browser.open(page, width=1440, scheme="light")
    left, top, right, bottom = browser.value(
        "((tile, pair, size) => [(tile.left - pair.left) * size[0] / pair.width, (tile.top - pair.top) * size[1] / pair.height,"
        " (tile.right - pair.left) * size[0] / pair.width, (tile.bottom - pair.top) * size[1] / pair.height])("
        "document.querySelector('.tile').getBoundingClientRect(), document.querySelector('.pair').getBoundingClientRect(),"
        " ['width', 'height'].map(side => Number(document.querySelector('.pair img').getAttribute(side))))"
    )
    assert left < COLUMNS.stop
    assert right > COLUMNS.start
    assert top < ROWS.stop
    assert bottom > ROWS.start
    assert right - left < 80

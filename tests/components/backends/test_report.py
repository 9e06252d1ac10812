import re

import jinja2
import numpy as np
import pytest

from components.backends.report import Page, Slider, Table, contact_sheet, curve_points, data_uri, fill, render, thumbnail

PNG = b"\x89PNG\r\n\x1a\nrest"


def test_a_page_carries_everything_inside():
    table = Table("Scores", ["method", "PSNR"], [["lq", "20.1"], ["restored", "22.0"]], best=frozenset({(1, 1)}), note="n = 3")
    page = Page("T", "lead", {"a": "b"}, [table], [(1, 2.0), (2, 1.0)], PNG, [Slider("photo", PNG, b"\xff\xd8jpeg")])
    html = render(page)
    assert not re.search(r'(src|href)="(?!data:)', html)
    assert '<td class="best">22.0</td>' in html
    assert html.count('type="range"') == 1
    assert "data:image/jpeg" in html


def test_text_is_escaped():
    assert "<script>alert" not in render(Page("<script>alert(1)</script>", "&"))


def test_a_curve_fills_its_box_and_keeps_its_ends():
    points = curve_points([(0, 4.0), (5, 2.0), (10, 0.0)])
    assert points["raw"] == "0.0,0.0 320.0,100.0 640.0,200.0"
    assert curve_points([]) == {}


def test_the_sheet_holds_every_picture_unchanged():
    red, blue = np.full((10, 12, 3), (255, 0, 0), np.uint8), np.full((14, 8, 3), (0, 0, 255), np.uint8)
    sheet = contact_sheet([[red, blue], [blue, red]], ["LQ", "HQ"])
    assert sheet.shape == (26 + 28 + 24, 24 + 24, 3)
    assert (sheet == (255, 0, 0)).all(axis=2).sum() == 240
    assert (sheet == (0, 0, 255)).all(axis=2).sum() == 224


def test_a_template_escapes_its_values_and_misses_no_name():
    assert fill("<b>{{ name }}</b>", name="<i>") == "<b>&lt;i&gt;</b>"
    with pytest.raises(jinja2.UndefinedError):
        fill("{{ nmae }}", name="a")


def test_a_thumbnail_fits_its_side_keeps_its_shape_and_never_grows():
    assert thumbnail(np.zeros((300, 600, 3), np.uint8), 128).shape == (64, 128, 3)
    assert thumbnail(np.zeros((1, 900, 3), np.uint8), 128).shape == (1, 128, 3)
    assert thumbnail(np.zeros((20, 30, 3), np.uint8), 128).shape == (20, 30, 3)


def test_a_picture_inside_a_page_names_its_format():
    assert data_uri(PNG).startswith("data:image/png;base64,")
    assert data_uri(b"\xff\xd8jpeg").startswith("data:image/jpeg;base64,")

"""A model beside the champion on its report, and how faithful it is to its LQ."""

import numpy as np

from components.backends.storage import LocalStorage
from components.evaluate.page import report_page
from components.evaluate.restore_pairs import METHODS, _values
from components.evaluate.run import WORST_SHOWN, worst_sliders
from components.imaging import codec
from components.imaging.benchmarks import degraded, degraded_again
from components.imaging.iqa.paired import compare
from tests.records import report, train_run

IMAGES = [f"{number:064x}" for number in range(8)]


def scores(values, metric="psnr"):
    return [
        {"image_id": image, "benchmark": "heavy", "method": "restored", "metric": metric, "value": value}
        for image, value in zip(IMAGES, values, strict=True)
    ]


def test_the_page_says_what_is_better_and_shows_where_the_model_falls_behind(tmp_path):
    store = LocalStorage(tmp_path)
    for prefix, grey in (("ours", 10), ("theirs", 200)):
        for image in IMAGES:
            png = codec.encode_png(np.full((8, 8, 3), grey, np.uint8))
            store.put(f"{prefix}/heavy/{image}/restored.png", png)
    paired = compare(scores([21, 22, 23, 24, 25, 26, 27, 19]), scores([20, 21, 22, 23, 24, 25, 26, 26]))
    champion = report(22.0).model_copy(update={"examples": "theirs"})
    sliders = worst_sliders(store, "ours", champion, paired)
    (slider,) = sliders  # one picture alone got worse
    assert IMAGES[-1][:8] in slider.title
    assert (slider.before, slider.after) == (
        store.read(f"theirs/heavy/{IMAGES[-1]}/restored.png"),
        store.read(f"ours/heavy/{IMAGES[-1]}/restored.png"),
    )
    html = report_page(train_run(), report(22.0).summaries, paired, sheet=b"", sliders=sliders, curve=())
    assert "Against the champion" in html
    assert "7 / 0 / 1" in html
    assert "left is the champion" in html
    bare = report_page(train_run(), report(22.0).summaries, (), sheet=b"", sliders=[], curve=())
    assert "Against the champion" not in bare


def test_no_more_regressions_are_shown_than_fit(tmp_path):
    store = LocalStorage(tmp_path)
    for prefix in ("ours", "theirs"):
        for image in IMAGES:
            store.put(f"{prefix}/heavy/{image}/restored.png", b"png")
    paired = compare(scores([20] * 8) + scores([40] * 8, "piqe"), scores([21] * 8) + scores([30] * 8, "piqe"))
    assert len(worst_sliders(store, "ours", report(1.0).model_copy(update={"examples": "theirs"}), paired)) <= WORST_SHOWN


def test_what_gives_its_lq_back_is_faithful():
    rows, columns = np.mgrid[:96, :96]
    picture = (np.stack([rows * 2, columns * 2, rows + columns], axis=-1) % 256).astype(np.uint8)
    hq_u8, lq_u8 = degraded("heavy", "a", picture, seed=0)
    pictures = {"lq": lq_u8, "bilateral": np.full_like(hq_u8, 128), "lrp": lq_u8, "restored": hq_u8}
    again = [degraded_again("heavy", "a", pictures[method], seed=0) for method in METHODS]
    found = dict(zip(METHODS, _values("lr_psnr", pictures, again, hq_u8, None), strict=True))
    assert found["restored"] == max(found.values())
    assert found["restored"] > 79  # HQ itself, degraded again with the same noise
    assert found["bilateral"] < 20

"""Opening a benchmark: what belongs together, and whether it is what its name promises."""

from pathlib import Path

import numpy as np
import pytest

from components.errors import SourceError
from components.evaluate.benchmarks import published
from components.evaluate.benchmarks.layout import open_benchmark
from components.evaluate.benchmarks.table import BENCHMARKS
from components.imaging import codec, iqa


def put(path: Path, side_px: int = 16, shade: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = np.random.default_rng(shade).integers(0, 255, (side_px, side_px, 3), dtype=np.uint8)
    path.write_bytes(codec.encode_png(picture))


@pytest.fixture
def own(tmp_path: Path) -> Path:
    for number, name in enumerate(("a", "b")):
        put(tmp_path / "own" / "lq" / f"{name}x4.png", 16, number)
        put(tmp_path / "own" / "hq" / f"{name}.png", 64, number)
    return tmp_path / "own"


def test_pairs_are_found_by_name_without_scale(own: Path, tmp_path: Path) -> None:
    opened = open_benchmark(str(own), tmp_path)
    assert [(pair.name, pair.lq.name, pair.hq and pair.hq.name) for pair in opened.pairs] == [
        ("a", "ax4.png", "a.png"),
        ("b", "bx4.png", "b.png"),
    ]
    assert (opened.name, opened.info, opened.side_px) == ("own", None, None)


def test_a_folder_of_pictures_alone_has_no_truth(tmp_path: Path) -> None:
    put(tmp_path / "real" / "1.png")
    assert [pair.hq for pair in open_benchmark(str(tmp_path / "real"), tmp_path).pairs] == [None]


def test_the_digest_follows_every_byte(own: Path, tmp_path: Path) -> None:
    before = open_benchmark(str(own), tmp_path).digest
    assert open_benchmark(str(own), tmp_path).digest == before
    put(own / "hq" / "b.png", 64, 7)
    assert open_benchmark(str(own), tmp_path).digest != before


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (lambda own: (own / "hq" / "b.png").unlink(), "hq to hold b too"),
        (lambda own: (own / "lq" / "bx4.png").unlink(), "lq to hold b too"),
        (lambda own: put(own / "lq" / "a_LR4.png"), "one picture 'a'"),
        (lambda own: (own / "lq" / "ax4.png").write_bytes(b"no"), "ax4.png is none"),
        (lambda own: put(own / "hq" / "a.png", 8), "at the same or a larger size"),
        (lambda own: (own / "benchmark.json").write_text("{"), "damaged"),
    ],
)
def test_what_does_not_belong_together_is_named(own: Path, tmp_path: Path, break_it: object, said: str) -> None:
    break_it(own)  # type: ignore[operator]
    with pytest.raises(SourceError, match=said):
        open_benchmark(str(own), tmp_path)


def test_a_named_benchmark_needs_its_count_and_sizes(tmp_path: Path) -> None:
    folder = tmp_path / "reallq250"
    for number in range(250):
        put(folder / "lq" / f"{number:03d}.png", 16, number)
    with pytest.raises(SourceError, match=r"LQ of 256x256 px for reallq250, 250 of 250 are others"):
        open_benchmark("reallq250", tmp_path)
    (folder / "lq" / "000.png").unlink()
    with pytest.raises(SourceError, match="Expected 250 pictures for reallq250, found 249"):
        open_benchmark("reallq250", tmp_path)
    assert len(open_benchmark(str(folder), tmp_path / "elsewhere").pairs) == 249


def test_an_absent_benchmark_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="lucidflux benchmark build div2k-val SOURCE"):
        open_benchmark("div2k-val", tmp_path)
    with pytest.raises(SourceError, match=r"test_LR|lq and hq inside .*realsr=FOLDER"):
        open_benchmark("realsr", tmp_path)


def test_published_rows_name_known_benchmarks_and_metrics() -> None:
    for name in BENCHMARKS:
        assert published.rows(name), name
        assert all(set(row.values) <= set(iqa.METRICS) for row in published.rows(name))


def test_the_paper_says_of_itself_what_its_table_says() -> None:
    (own,) = [row for row in published.rows("div2k-val") if row.method == "LucidFlux"]
    assert (own.values["psnr"], own.values["lpips"], own.source) == (15.4393, 0.4312, "LucidFlux, table 1")

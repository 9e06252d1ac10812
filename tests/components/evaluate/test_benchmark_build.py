"""Cutting the paper's benchmarks from a copy of their source."""

import json
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from components.errors import SourceError
from components.evaluate.benchmarks.build import Plan, build
from components.evaluate.benchmarks.layout import open_benchmark
from components.evaluate.benchmarks.table import DEGRADATIONS
from components.imaging import codec

PLAN = Plan(name="div2k-val", count=10, side_px=32, seed=3)


@pytest.fixture
def div2k(tmp_path: Path) -> Path:
    source, rng = tmp_path / "DIV2K", np.random.default_rng(0)
    (source / "DIV2K_valid_HR").mkdir(parents=True)
    for stem, shape in (("0801", (64, 80)), ("0802", (48, 32)), ("0803", (24, 80))):
        picture = rng.integers(0, 255, (*shape, 3), dtype=np.uint8)
        (source / "DIV2K_valid_HR" / f"{stem}.png").write_bytes(codec.encode_png(picture))
        for number, (kind, folders) in enumerate(DEGRADATIONS.items()):
            (source / folders[0]).mkdir(parents=True, exist_ok=True)
            quarter = np.full((shape[0] // 4, shape[1] // 4, 3), 0, np.uint8)
            quarter[..., 0], quarter[..., 1], quarter[..., 2] = (
                np.arange(quarter.shape[1]),
                np.arange(quarter.shape[0])[:, None],
                number,
            )
            (source / folders[0] / f"{stem}x4{kind[0]}.png").write_bytes(codec.encode_png(quarter))
    return source


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_crops_of_both_sizes_show_the_same_place_and_degradations_take_turns(div2k: Path, tmp_path: Path) -> None:
    made = build(PLAN, div2k, tmp_path / "out")
    assert (made.pictures, made.photos, made.too_small) == (10, 2, 1)
    cuts = {cut["name"]: cut for cut in json.loads((tmp_path / "out" / "benchmark.json").read_text())["pictures"]}
    assert sorted(cut["degradation"] for cut in cuts.values()) == sorted([*DEGRADATIONS, *DEGRADATIONS])
    for name, cut in cuts.items():
        photo = codec.decode((div2k / "DIV2K_valid_HR" / f"{cut['photo']}.png").read_bytes()).image_u8
        hq = codec.decode((tmp_path / "out" / "hq" / f"{name}.png").read_bytes()).image_u8
        lq = codec.decode((tmp_path / "out" / "lq" / f"{name}.png").read_bytes()).image_u8
        np.testing.assert_array_equal(hq, photo[cut["top"] : cut["top"] + 32, cut["left"] : cut["left"] + 32])
        assert lq.shape == (8, 8, 3)
        assert lq[0, 0].tolist() == [cut["left"] // 4, cut["top"] // 4, list(DEGRADATIONS).index(cut["degradation"])]


def test_two_builds_are_equal_and_a_killed_one_goes_on(div2k: Path, tmp_path: Path) -> None:
    build(PLAN, div2k, tmp_path / "one")
    build(PLAN, div2k, tmp_path / "two", workers=2)
    assert files(tmp_path / "one") == files(tmp_path / "two")
    whole = files(tmp_path / "two")
    lost = sorted((tmp_path / "two" / "lq").iterdir())[:3]
    for path in [*lost, tmp_path / "two" / "benchmark.json"]:
        path.unlink()
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "two" / "lq").iterdir()}
    build(PLAN, div2k, tmp_path / "two")
    assert files(tmp_path / "two") == whole
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in kept.items())


def test_a_folder_never_holds_two_plans(div2k: Path, tmp_path: Path) -> None:
    build(PLAN, div2k, tmp_path / "out")
    with pytest.raises(SourceError, match="another plan"):
        build(PLAN.model_copy(update={"seed": 4}), div2k, tmp_path / "out")


def test_what_was_built_opens_with_its_degradations(div2k: Path, tmp_path: Path) -> None:
    build(PLAN, div2k, tmp_path / "out")
    opened = open_benchmark(str(tmp_path / "out"), tmp_path)
    assert {pair.group for pair in opened.pairs} == set(DEGRADATIONS)


def test_lsdir_is_degraded_as_training_is_and_the_same_again(div2k: Path, tmp_path: Path) -> None:
    plan = Plan(name="lsdir-val", count=2, side_px=48)
    for folder in ("one", "two"):
        build(plan, div2k / "DIV2K_valid_HR", tmp_path / folder)
    assert files(tmp_path / "one") == files(tmp_path / "two")
    for pair in open_benchmark(str(tmp_path / "one"), tmp_path).pairs:
        hq, lq = (codec.decode(path.read_bytes()).image_u8 for path in (pair.hq, pair.lq) if path)
        assert hq.shape == lq.shape == (48, 48, 3)
        assert (hq != lq).any()


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (lambda source: (source / "DIV2K_valid_LR_wild").rename(source / "gone"), "folder DIV2K_valid_LR_wild"),
        (lambda source: next((source / "DIV2K_valid_LR_mild").glob("0802*")).unlink(), "0802x4"),
        (
            lambda source: (source / "DIV2K_valid_LR_mild" / "0801x4m.png").write_bytes(
                codec.encode_png(np.zeros((8, 8, 3), np.uint8))
            ),
            "quarter of 0801",
        ),
    ],
)
def test_an_incomplete_copy_is_named(div2k: Path, tmp_path: Path, break_it: object, said: str) -> None:
    break_it(div2k)  # type: ignore[operator]
    with pytest.raises(SourceError, match=said):
        build(PLAN.model_copy(update={"count": 40}), div2k, tmp_path / "out")


def test_what_is_distributed_as_it_is_used_is_not_built(div2k: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="nothing to build"):
        build(Plan(name="reallq250"), div2k, tmp_path / "out")


def test_a_photo_on_its_side_is_cut_as_it_is_seen(tmp_path: Path) -> None:
    """Its header says 80x48; upright it is 48 wide, and crops of 48 px may lie anywhere along its height."""
    photos = tmp_path / "photos"
    photos.mkdir()
    picture = PIL.Image.fromarray(np.random.default_rng(0).integers(0, 255, (48, 80, 3), dtype=np.uint8))
    exif = picture.getexif()
    exif[0x0112] = 6
    picture.save(photos / "turned.png", exif=exif)
    build(Plan(name="lsdir-val", count=4, side_px=48), photos, tmp_path / "out")
    for path in (tmp_path / "out" / "hq").iterdir():
        assert codec.size_px(path.read_bytes()) == (48, 48)
    assert codec.size_px((photos / "turned.png").read_bytes()) == (80, 48)

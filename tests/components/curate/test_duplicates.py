from __future__ import annotations

import csv
import itertools
from pathlib import Path

import numpy as np
import pytest

from components.backends.storage import LocalStorage
from components.backends.tables import Tables
from components.curate import duplicates
from components.imaging import codec, prints


def texture(seed: int, height: int = 240, width: int = 320) -> np.ndarray:
    """A made picture with detail at every scale, like no other seed's."""
    generator = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :]) + 1 / width
    waves = generator.normal(size=frequency.shape) + 1j * generator.normal(size=frequency.shape)
    plane = np.fft.irfft2(waves / frequency**1.2, (height, width))
    return np.clip(128 + 50 * plane / plane.std(), 0, 255).astype(np.uint8)


def groups(folder: Path, taken: dict[str, bytes | None]) -> set[frozenset[str]]:
    """Sets of names that find_groups joins."""
    with Tables(LocalStorage(folder)) as tables:
        tables.table("luma", "luma", [{"id": name, "print": data} for name, data in taken.items()])
        duplicates.find_groups(tables, overlap=0.8)
        rows = sorted(tables.tuples('select "group", id from groups'))
    joined = [(group, [name for _, name in members]) for group, members in itertools.groupby(rows, key=lambda row: row[0])]
    assert all(group == min(names) for group, names in joined)
    return {frozenset(names) for _, names in joined}


def test_copies_crops_and_mirrors_are_one_group_and_others_none(tmp_path):
    a, b = texture(1), texture(2)
    pictures = {"a": a, "a-mirrored": a[:, ::-1], "a-corner": a[:120, :160], "b": b, "b-turned": np.rot90(b), "c": texture(3)}
    taken = {name: prints.fingerprint(np.ascontiguousarray(luma_u8)) for name, luma_u8 in pictures.items()}
    assert groups(tmp_path, taken) == {frozenset({"a", "a-mirrored", "a-corner"}), frozenset({"b", "b-turned"})}


def test_neighbouring_tiles_stay_apart(tmp_path):
    wide = texture(4, 240, 600)
    taken = {str(left): prints.fingerprint(np.ascontiguousarray(wide[:, left : left + 320])) for left in (0, 140, 280)}
    assert groups(tmp_path, taken) == set()


def test_a_row_of_pictures_does_not_make_one_group_of_what_shares_little(tmp_path):
    wide = texture(5, 240, 800)
    lefts = range(0, 480, 45)
    taken = {f"{left:03d}": prints.fingerprint(np.ascontiguousarray(wide[:, left : left + 320])) for left in lefts}
    found = groups(tmp_path, taken)
    assert found
    assert all(int(max(names)) - int(min(names)) <= 2 * 0.2 * 320 for names in found)


def test_more_copies_than_are_paired_with_each_other_are_still_one_group(tmp_path):
    same = prints.fingerprint(texture(6))
    names = [f"{number:02d}" for number in range(3 * duplicates.MOST_PAIRED)]
    assert groups(tmp_path, dict.fromkeys(names, same) | {"other": prints.fingerprint(texture(7))}) == {frozenset(names)}


def test_rows_without_a_print_are_in_no_group(tmp_path):
    assert groups(tmp_path, {"failed": None, "blank": b"", "other blank": b""}) == set()


def test_no_rows_make_an_empty_table(tmp_path):
    assert groups(tmp_path, {}) == set()


def test_whoever_shares_nothing_with_the_centre_is_left_out():
    links = [(1, 2), (2, 3), (2, 4), (4, 5), (5, 6)]
    assert list(duplicates.stars(links)) == [[1, 2, 3, 4], [5, 6]]
    assert list(duplicates.unproved(links)) == [(2, 5), (2, 6)]


@pytest.mark.e2e
def test_every_labelled_copy_is_with_its_source_and_different_photos_are_apart(tmp_path, test_data):
    paths = [path for folder in ("photos_hq", "photos_mixed") for path in sorted((test_data / folder).iterdir())]
    taken = {
        path.name: prints.fingerprint(codec.luma(path.read_bytes(), limits=codec.STORED))
        for path in paths
        if path.suffix != ".csv"
    }
    with (test_data / "photos_mixed" / "labels.csv").open() as file:
        labels = list(csv.DictReader(file))
    photos: dict[str, set[str]] = {}
    for row in labels:
        # a strip of empty sky and three clipped stops of light show too little of their source to prove it
        if row["source_in_photos_hq"] in taken and row["defect"] not in ("flat: sky crop", "overexposed x3 (clipped)"):
            photos.setdefault(row["source_in_photos_hq"], {row["source_in_photos_hq"]}).add(row["file"])
    # looked at: the same photo three and two times, one across the folders, one exposure twice, one scene with its mean
    alike = [
        {"elem_jonasnilssonlee_081621a6.jpg", "elem_jonasnilssonlee_18cce6a2.jpg", "elem_jonasnilssonlee_423654c7.jpg"},
        {"elem_martinadams_0ba171e6.jpg", "elem_martinadams_99365376.jpg"},
        {"elem_photobyspacex_b32f2776.jpg", "elem_photobyspacex_f0e950de.jpg"},
        {"exif_canon_hdr_NO.jpg", "exif_canon_hdr_YES.jpg"},
        {"polyu_Canon600D_4-5_125_1600_book_11_mean.JPG", "polyu_Canon600D_4-5_125_1600_book_11_real.JPG"},
    ]
    assert groups(tmp_path, taken) == {frozenset(names) for names in [*photos.values(), *alike]}

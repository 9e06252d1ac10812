from __future__ import annotations

import numpy as np

from components.backends.storage import LocalStorage
from components.backends.tables import Tables
from components.curate import leaks
from components.imaging import prints


def texture(seed: int, height: int = 300, width: int = 400) -> np.ndarray:
    """A made picture with detail at every scale, like no other seed's."""
    generator = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :]) + 1 / width
    waves = generator.normal(size=frequency.shape) + 1j * generator.normal(size=frequency.shape)
    plane = np.fft.irfft2(waves / frequency**1.2, (height, width))
    return np.clip(128 + 50 * plane / plane.std(), 0, 255).astype(np.uint8)


def found(folder, images: dict[str, np.ndarray], benchmarks: dict[tuple[str, str], np.ndarray]) -> list[tuple[str, str, str]]:
    """Rows of the table that find_leaks makes."""
    with Tables(LocalStorage(folder)) as tables:
        rows = [{"id": name, "print": prints.fingerprint(np.ascontiguousarray(image))} for name, image in images.items()]
        tables.table("luma", "luma", rows)
        tables.run("create table benchmarks (benchmark varchar, benchmark_id varchar, print blob)")
        for (benchmark, benchmark_id), image in benchmarks.items():
            taken = prints.fingerprint(np.ascontiguousarray(image))
            tables.run("insert into benchmarks values ($a, $b, $c)", {"a": benchmark, "b": benchmark_id, "c": taken})
        leaks.find_leaks(tables, overlap=0.25)
        return sorted(tables.tuples("select id, benchmark, benchmark_id from leaks"))


def test_a_crop_of_a_benchmark_leaks_and_so_does_the_picture_a_benchmark_was_cut_from(tmp_path):
    a, b = texture(1), texture(2)
    images = {"crop": a[30:190, 40:260], "whole": b, "other": texture(3)}
    assert found(tmp_path, images, {("bench", "a"): a, ("bench", "b"): b[100:, 150:]}) == [
        ("crop", "bench", "a"),
        ("whole", "bench", "b"),
    ]


def test_a_shared_third_leaks_and_a_shared_tenth_does_not(tmp_path):
    wide = texture(4, 300, 760)
    images = {"third": wide[:, 267:667], "tenth": wide[:, 360:]}
    assert found(tmp_path, images, {("bench", "left"): wide[:, :400]}) == [("third", "bench", "left")]


def test_what_leaks_from_several_pictures_names_the_first(tmp_path):
    a = texture(5)
    benchmarks = {("second", "x"): a, ("first", "y"): a[:, ::-1], ("first", "z"): a}
    assert found(tmp_path, {"copy": a}, benchmarks) == [("copy", "first", "y")]


def test_a_mirrored_small_crop_leaks(tmp_path):
    a = texture(6)
    assert found(tmp_path, {"crop": a[:160, 190:][:, ::-1]}, {("bench", "a"): a}) == [("crop", "bench", "a")]


def test_without_pictures_nothing_leaks(tmp_path):
    assert found(tmp_path, {}, {("bench", "a"): texture(1)}) == []
    assert found(tmp_path, {"a": texture(1)}, {}) == []

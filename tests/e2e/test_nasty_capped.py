"""Hostile files in processes that may take 2 GiB of address space in all: each has its verdict, in time, every time."""

from __future__ import annotations

import csv
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import PIL.Image
import pytest

from components.imaging import codec

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

ROOT = Path(__file__).resolve().parents[2]
VERDICTS = ROOT / "tests" / "components" / "imaging" / "nasty_verdicts.csv"

CAPPED = "import resource\nresource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))\n"
"""Set before anything is imported, so libraries and thread stacks count too, and worker processes inherit it."""

DECODE = """
import hashlib, json, sys, time
from pathlib import Path
from components.errors import DecodeError
from components.imaging import codec
def pixels(found):
    return found if isinstance(found, str) else hashlib.sha256(getattr(found, "image_u8", found)).hexdigest()
for file in sorted(Path(sys.argv[1]).rglob("*")):
    if file.is_file():
        data = file.read_bytes()
        row = {"file": file.relative_to(sys.argv[1]).as_posix()}
        for read in [getattr(codec, name) for name in sys.argv[2:]]:
            start = time.monotonic()
            try:
                with codec.time_limit(10):
                    found = read(data)
                row[read.__name__] = ["ok", "" if read is codec.source else pixels(found)]
            except DecodeError as error:
                row[read.__name__] = [error.reason, ""]
            row[f"{read.__name__} seconds"] = time.monotonic() - start
        print(json.dumps(row))
"""

INGEST = """
import json, sys
from components.backends import manifest
from components.backends.storage import open_storage
from components.ingest.run import ingest
from components.ingest.settings import IngestSettings
if __name__ == "__main__":
    handle = ingest([sys.argv[1]], IngestSettings(shard_pictures=50), objects=sys.argv[2], workers=2)
    print(handle.model_dump_json())
    for row in manifest.rows(open_storage(sys.argv[2]), handle):
        print(json.dumps(row))
"""


@pytest.fixture(scope="module")
def expected() -> dict[str, str]:
    with VERDICTS.open() as table:
        found = {row["file"]: row["expected"] for row in csv.DictReader(table)}
    return found | ({"samplefilehub.heif": "ok"} if codec.decodes_heif() else {})


def lines(program: Path, *words: object) -> list[str]:
    """Run a program, which must say nothing on the error stream, and give what it printed."""
    command = [sys.executable, "-W", "default", str(program), *map(str, words)]
    # Arrow's own allocator would reserve 1 GiB of addresses, and use next to none of them
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]), "ARROW_DEFAULT_MEMORY_POOL": "system"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_every_file_has_its_verdict_in_10_seconds_and_the_same_pixels_again(test_data, tmp_path, expected):
    program = tmp_path / "decode.py"
    program.write_text(CAPPED + DECODE)
    readers = ("decode", "luma", "source", "identify")
    runs = [[json.loads(line) for line in lines(program, test_data / "nasty", *readers)] for _ in range(2)]
    assert max(value for row in runs[0] + runs[1] for key, value in row.items() if key.endswith("seconds")) < 10
    hashes = [{row["file"]: [row["decode"], row["luma"]] for row in rows} for rows in runs]
    assert hashes[0] == hashes[1]
    for reader in readers[:3]:
        assert {row["file"]: row[reader][0] for row in runs[0]} == expected
    assert all(row["identify"][0] in {"ok", row["decode"][0]} for row in runs[0])


@pytest.mark.parametrize("kind", ["WEBP", "CMYK JPEG", "PNG with alpha"])
def test_the_largest_picture_within_the_limits_fits(tmp_path, kind):
    side_px = math.isqrt(codec.Limits().max_pixels)
    image = PIL.Image.radial_gradient("L").resize((side_px, side_px))
    name, mode, options = {
        "WEBP": ("WEBP", "RGB", {"method": 0}),
        "CMYK JPEG": ("JPEG", "CMYK", {}),
        "PNG with alpha": ("PNG", "RGBA", {"compress_level": 1}),
    }[kind]
    (tmp_path / "pictures").mkdir()
    image.convert(mode).save(tmp_path / "pictures" / "large", name, **options)
    program = tmp_path / "decode.py"
    program.write_text(CAPPED + DECODE)
    (row,) = map(json.loads, lines(program, tmp_path / "pictures", "decode", "luma"))
    assert (row["decode"][0], row["luma"][0]) == ("ok", "ok")


def test_ingest_gives_every_file_its_verdict_and_the_same_manifest_again(test_data, tmp_path, expected):
    program = tmp_path / "ingest.py"
    program.write_text(CAPPED + INGEST)
    first, second = (lines(program, test_data / "nasty", tmp_path / name) for name in ("first", "second"))
    assert first == second
    rows = [json.loads(line) for line in first[1:]]
    verdicts = {row["origin"].removeprefix("nasty/"): row["reason"] for row in rows}
    passed = {"": "ok", "duplicate_bytes": "ok"}  # bytes that an earlier file has too were decoded
    assert {file: passed.get(reason, reason) for file, reason in verdicts.items()} == expected

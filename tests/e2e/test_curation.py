"""Real photos and hostile files through ingest and curate, and what the manifests then say."""

import csv
import io
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import PIL.ImageOps
import pytest

from components.backends import manifest
from components.backends.storage import LocalStorage
from components.curate.run import Means, curate
from components.curate.settings import CurateSettings
from components.imaging import codec
from components.ingest.run import ingest
from components.ingest.settings import IngestSettings
from components.records import DatasetVersion, Expectations

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

NASTY = Path(__file__).parents[1] / "components" / "imaging" / "nasty_verdicts.csv"
PIQE = CurateSettings(quality_metric="piqe", keep_share=0.5, held_out_share=0.3)


def version_of(handle):
    passed = Expectations(suite="ingest", passed=True, evaluated=1)
    return DatasetVersion(
        name="photos", dvc_md5="d.dir", files=1, bytes=1, manifest=handle, expectations=passed, git_revision="g"
    )


@pytest.fixture(scope="module")
def curated(test_data, tmp_path_factory):
    store = LocalStorage(tmp_path_factory.mktemp("objects"))
    folders = [str(test_data / name) for name in ("photos_mixed", "photos_hq")]
    handle = ingest(folders, IngestSettings(shard_pictures=16), objects=store.root, workers=2)
    made = curate(version_of(handle), PIQE, Means(objects=store.root, workers=2))
    return made, {row["origin"]: row for row in manifest.rows(store, made.manifest)}


def reference_luma(path):
    """Grey as DATA_SPEC defines it, read without the product's codec: a JPEG's own luma, else BT.601 of the RGB picture."""
    data = path.read_bytes()
    with PIL.Image.open(io.BytesIO(data)) as image:
        if image.format == "JPEG" and image.mode in ("RGB", "L"):
            orientation = image.getexif().get(0x0112, 1)
            luma = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION)
            upright = PIL.Image.fromarray(luma)
            upright.getexif()[0x0112] = orientation
            return np.asarray(PIL.ImageOps.exif_transpose(upright))
        rgb = np.asarray(image.convert("RGB"))
    return cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)


def reference_scores(luma):
    """Blur and flat share in float64 with numpy alone: reflect-101, 4-neighbour Laplacian, unscaled Sobel, whole patches."""
    wide = np.pad(luma.astype(np.float64), 1, mode="reflect")
    up, down, left, right = wide[:-2, 1:-1], wide[2:, 1:-1], wide[1:-1, :-2], wide[1:-1, 2:]
    blur = (up + down + left + right - 4 * wide[1:-1, 1:-1]).var()
    across = wide[:-2, 2:] + 2 * right + wide[2:, 2:] - wide[:-2, :-2] - 2 * left - wide[2:, :-2]
    along = wide[2:, :-2] + 2 * down + wide[2:, 2:] - wide[:-2, :-2] - 2 * up - wide[:-2, 2:]
    magnitude = np.sqrt(across**2 + along**2)
    patches = [
        magnitude[y : y + 240, x : x + 240].var()
        for y in range(0, luma.shape[0] - 239, 240)
        for x in range(0, luma.shape[1] - 239, 240)
    ]
    return blur, np.mean(np.array(patches) < 800) if patches else None


def test_blur_and_flat_share_in_the_manifest_equal_an_independent_float64_computation(curated, test_data):
    checked = 0
    for origin, row in curated[1].items():
        if row["verdict"] == "failed" or not origin.startswith("photos_mixed/"):
            continue
        blur, flat_share = reference_scores(reference_luma(test_data / origin))
        assert row["blur"] == pytest.approx(blur, rel=1e-9, abs=1e-12), origin
        assert row["flat_share"] == flat_share, origin
        checked += 1
    assert checked >= 60


def test_every_duplicate_of_the_labels_is_in_one_group_with_its_source(curated, test_data):
    rows = curated[1]
    with (test_data / "photos_mixed" / "labels.csv").open() as table:
        labels = [row for row in csv.DictReader(table) if "duplicate" in row["defect"]]
    assert len(labels) == 6
    for label in labels:
        derived, source = rows[f"photos_mixed/{label['file']}"], rows[f"photos_hq/{label['source_in_photos_hq']}"]
        assert derived["id"] == source["id"] or (derived["group"] and derived["group"] == source["group"]), label


def test_of_each_group_at_most_one_is_kept_and_the_others_name_who_stands_for_them(curated):
    groups = {}
    for row in curated[1].values():
        if row["group"] and row["verdict"] == "kept":
            groups.setdefault(row["group"], []).append(row["origin"])
        if row["reason"] == "near_duplicate":
            stands = curated[1][row["related"]]
            assert stands["group"] == row["group"]
    assert all(len(origins) == 1 for origins in groups.values())


def test_the_funnel_accounts_for_every_file(curated, test_data):
    made, rows = curated
    files = [path for name in ("photos_mixed", "photos_hq") for path in (test_data / name).iterdir() if path.suffix != ".csv"]
    assert len(rows) == sum(made.funnel.values()) == len(files)


def test_every_hostile_file_ends_with_its_verdict_and_a_second_run_with_the_same_hash(test_data, tmp_path):
    with NASTY.open() as table:
        expected = {row["file"]: row["expected"] for row in csv.DictReader(table)}
    expected |= {"samplefilehub.heif": "ok"} if codec.decodes_heif() else {}
    handles = [
        ingest([str(test_data / "nasty")], IngestSettings(shard_pictures=32), objects=str(tmp_path / place), workers=2)
        for place in ("first", "second")
    ]
    assert handles[0] == handles[1]
    rows = manifest.rows(LocalStorage(tmp_path / "first"), handles[0])
    found = {row["origin"].removeprefix("nasty/"): row["reason"] or "ok" for row in rows if row["verdict"] != "rejected"}
    assert found.items() <= expected.items()
    assert len(rows) == len(expected)

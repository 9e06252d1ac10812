"""What 50 real files carry, field by field, before and after a restoration; read from the files by Pillow and OpenCV."""

from __future__ import annotations

import io
import json
import warnings
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import PIL.Image
import pytest

from components.errors import DecodeError
from components.imaging import codec
from components.imaging.sampler import SamplerSettings
from components.restore.model import Model
from components.restore.run import Batch, restore
from components.restore.settings import RestoreSettings
from flows.settings import load

pytestmark = pytest.mark.e2e
MOST_PIXELS, MOST_BYTES = 400_000, 3_000_000
ORIENTATION, EXIF_FOLDER, GPS_FOLDER, XMP_TAG = 0x0112, 0x8769, 0x8825, 700
DESCRIPTION, COPYRIGHT = 0x010E, 0x8298
RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
SOURCE_TYPE = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType"


def opened(data):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = PIL.Image.open(io.BytesIO(data))
        image.load()
    return image


def carries(path):
    if path.stat().st_size > MOST_BYTES:
        return False
    try:
        with PIL.Image.open(path) as image:
            if image.width * image.height > MOST_PIXELS:
                return False
        source = codec.source(path.read_bytes())
    except (OSError, ValueError, SyntaxError, DecodeError, PIL.Image.DecompressionBombError):
        return False
    return bool(source.exif or source.icc or source.xmp or source.alpha_u16 is not None or source.bits == 16)


@pytest.fixture(scope="module")
def pairs(test_data, tmp_path_factory):
    """(name, bytes before, bytes after) of each file."""
    folder = tmp_path_factory.mktemp("metadata")
    (folder / "in").mkdir()
    for path in sorted((test_data / "nasty").iterdir()):
        if path.is_file() and carries(path):
            (folder / "in" / path.name).write_bytes(path.read_bytes())
    model = Model("m/1", load("tiny").base_folder, None, SamplerSettings(steps=1, start=0.2, shift="none"))
    places = {"output": f"{folder}/out", "state": f"sqlite:///{folder}/state.db", "objects": f"{folder}/objects"}
    made = restore([f"{folder}/in"], Batch(model=model, settings=RestoreSettings(workers=1), **places))
    with Path(made.sidecar).open() as file:
        rows = [json.loads(line) for line in file]
    assert made.failed == 0, [row for row in rows if row["verdict"] == "failed"]
    found = [(row["origin"], folder / "in" / row["origin"], folder / "out" / row["output"]) for row in rows]
    return [(name, before.read_bytes(), after.read_bytes()) for name, before, after in found]


def exif(image):
    """Tag -> value of the EXIF block that is not about how the file stores its pixels."""
    block = image.getexif()
    fields = {("exif", tag): value for tag, value in block.get_ifd(EXIF_FOLDER).items()}
    fields |= {("gps", tag): value for tag, value in block.get_ifd(GPS_FOLDER).items()}
    if "exif" in image.info:
        fields |= {("main", tag): value for tag, value in block.items() if tag not in (ORIENTATION, EXIF_FOLDER, GPS_FOLDER)}
    else:  # a TIFF's own tags: those that tell about the photo
        fields |= {("main", tag): block[tag] for tag in (DESCRIPTION, COPYRIGHT) if tag in block}
    return {name: repr(value) for name, value in fields.items()}


def packet(image):
    found = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
    if found is None and hasattr(image, "tag_v2"):
        found = image.tag_v2.get(XMP_TAG)
    return found if isinstance(found, bytes) or found is None else found.encode()


def properties(data):
    """Every (path, value) that a packet says."""
    found = set()

    def walk(element, path):
        here = f"{path}/{element.tag}"
        found.update((f"{here}@{name}", value) for name, value in element.attrib.items())
        if text := (element.text or "").strip():
            found.add((here, text))
        for child in element:
            walk(child, here)

    walk(ElementTree.fromstring(data.decode("utf-8-sig").strip("\x00 \n")), "")
    return {(name, value) for name, value in found if not name.endswith(("Orientation", SOURCE_TYPE))}


def test_there_are_fifty_files_of_each_sort(pairs):
    assert len(pairs) >= 50
    sorts = [codec.source(before) for _, before, _ in pairs]
    assert sum(bool(one.exif) for one in sorts) >= 15
    assert sum(bool(one.icc) for one in sorts) >= 6
    assert sum(one.alpha_u16 is not None for one in sorts) >= 15
    assert sum(one.bits == 16 for one in sorts) >= 12
    assert sum(bool(one.xmp) for one in sorts) >= 5


def test_exif_is_kept_field_by_field(pairs):
    for name, before, after in pairs:
        if codec.source(before).exif:
            first, second = exif(opened(before)), exif(opened(after))
            assert {field: second.get(field) for field in first} == first, name
            assert opened(after).getexif().get(ORIENTATION, 1) == 1, name


def test_profiles_are_kept_byte_for_byte_where_colours_can_go_back_through_them(pairs):
    kept, replaced = [], []
    for name, before, after in pairs:
        if icc := opened(before).info.get("icc_profile"):
            (kept if opened(after).info.get("icc_profile") == icc else replaced).append(name)
    assert len(kept) >= 5
    assert set(replaced) <= {"pil_icc_profile_big.jpg"}, replaced  # made of tables: the result is in sRGB and says so


def test_alpha_is_kept_pixel_by_pixel(pairs):
    for name, before, after in pairs:
        alpha_u16 = codec.source(before).alpha_u16
        if alpha_u16 is not None:
            found = codec.source(after).alpha_u16
            if found is None:  # WebP drops an alpha that is opaque everywhere
                found = np.full_like(alpha_u16, 65_535)
            np.testing.assert_array_equal(found, alpha_u16, err_msg=name)


def test_16_bits_are_kept_and_used(pairs):
    for name, before, after in pairs:
        if codec.source(before).bits == 16:
            stored = cv2.imdecode(np.frombuffer(after, np.uint8), cv2.IMREAD_UNCHANGED)
            assert stored.dtype == np.uint16, name
            assert len(np.unique(stored % 257)) > 50, name  # not 8 bits made wider


def test_every_result_says_that_a_model_edited_it_and_keeps_what_its_xmp_said(pairs):
    for name, before, after in pairs:
        said = packet(opened(after))
        root = ElementTree.fromstring(said.decode())
        types = [node.get(SOURCE_TYPE) for node in root.iter(f"{RDF}Description") if node.get(SOURCE_TYPE)]
        assert types == [codec.EDITED_BY_MODEL], name
        if codec.source(before).xmp:
            assert properties(packet(opened(before))) <= properties(said), name

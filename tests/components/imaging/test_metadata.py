"""Metadata: EXIF goes along with orientation reset, a profile becomes sRGB."""

from __future__ import annotations

import io

import numpy as np
import PIL.Image
import PIL.ImageCms
import pytest

from components.imaging import codec, metadata

MAKE, ORIENTATION = 0x010F, 0x0112


def with_exif(orientation=6, **options):
    exif = PIL.Image.Exif()
    exif[MAKE] = "Camera"
    exif[ORIENTATION] = orientation
    buffer = io.BytesIO()
    PIL.Image.new("RGB", (32, 16), "red").save(buffer, "JPEG", exif=exif, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", list(codec.ENCODERS))
def test_exif_is_carried_and_orientation_is_reset(kind):
    data = with_exif()
    output = codec.encode(codec.decode(data).image_u8, kind, metadata.carried(data))
    exif = PIL.Image.open(io.BytesIO(output)).getexif()
    assert (exif[MAKE], exif[ORIENTATION]) == ("Camera", 1)
    assert codec.decode(output).image_u8.shape == (32, 16, 3)


def test_big_endian_exif_is_reset_too():
    entry = bytes.fromhex("0112 0003 00000001 0008 0000".replace(" ", ""))
    block = b"MM\x00*\x00\x00\x00\x08\x00\x01" + entry + b"\x00\x00\x00\x63"
    reset = metadata.upright(block)
    assert reset[6 + 18 : 6 + 20] == b"\x00\x01"
    assert reset[-4:] == bytes(4)  # the thumbnail is unlinked


@pytest.mark.parametrize("broken", [b"", b"II", b"Exif\x00\x00II*\x00\xff\xff\xff\x7f", b"garbage" * 9])
def test_broken_exif_is_left_out(broken):
    assert metadata.upright(broken) == b""


def test_profile_becomes_srgb_and_repeats_its_bytes():
    profile = PIL.ImageCms.ImageCmsProfile(PIL.ImageCms.createProfile("XYZ")).tobytes()
    carried = metadata.carried(with_exif(icc_profile=profile))
    output = codec.encode(np.zeros((8, 8, 3), np.uint8), "png", carried)
    embedded = PIL.Image.open(io.BytesIO(output)).info["icc_profile"]
    assert "sRGB" in PIL.ImageCms.getProfileDescription(PIL.ImageCms.ImageCmsProfile(io.BytesIO(embedded)))
    assert output == codec.encode(np.zeros((8, 8, 3), np.uint8), "png", carried)


def test_file_without_metadata_carries_none():
    assert metadata.carried(codec.encode_png(np.zeros((8, 8, 3), np.uint8))) == codec.Metadata()


def test_file_that_does_not_open_carries_none():
    assert metadata.carried(b"nothing") == codec.Metadata()


def test_hostile_exif_is_never_an_error(test_data):
    for file in sorted((test_data / "nasty").glob("*exif*")):
        metadata.carried(file.read_bytes())

"""The codec: whole upright sRGB pictures, or one word for what is wrong."""

from __future__ import annotations

import csv
import io
import os
import signal
import struct
import subprocess
import sys
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import PIL.ImageCms
import pytest

from components.errors import DecodeError
from components.imaging import codec
from components.imaging.codec import deep, opening

VERDICTS = Path(__file__).parent / "nasty_verdicts.csv"


def photo_like(height=96, width=128):
    rows, columns = np.mgrid[:height, :width]
    channels = [128 + 90 * np.sin(rows / 9 + columns / 17), 2 * columns % 256, 128 + 100 * np.cos(rows / 5) * np.sin(columns / 6)]
    return np.clip(np.stack(channels, -1), 0, 255).astype(np.uint8)


def saved(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def reason_of(data, **options):
    with pytest.raises(DecodeError) as caught:
        codec.decode(data, **options)
    assert caught.value.reason in codec.REASONS
    return caught.value.reason


def verdict(data):
    try:
        picture = codec.decode(data)
    except DecodeError as error:
        return error.reason
    assert picture.image_u8.shape == (picture.height_px, picture.width_px, 3)
    assert picture.image_u8.dtype == np.uint8
    return "ok"


def test_hostile_files_have_their_verdicts(test_data):
    with VERDICTS.open() as table:
        rows = list(csv.DictReader(table))
    expected = {row["file"]: row["expected"] for row in rows}
    assert expected["samplefilehub.heif"] == "unsupported_format"
    if codec.decodes_heif():
        expected["samplefilehub.heif"] = "ok"
    folder = test_data / "nasty"
    present = {file.relative_to(folder).as_posix(): verdict(file.read_bytes()) for file in folder.rglob("*") if file.is_file()}
    assert present == expected


def test_empty_file():
    assert reason_of(b"") == "empty_file"


def test_text_is_not_an_image():
    assert reason_of(b"<html>404</html>") == "not_an_image"


def test_broken_heif_is_unsupported_without_its_library_and_corrupt_with_it():
    assert reason_of(b"\x00\x00\x00\x18ftypheic" + bytes(100)) == ("corrupt" if codec.decodes_heif() else "unsupported_format")


@pytest.fixture
def heif(test_data):
    """A HEIF file of 640x426 px, and the library for it."""
    if not codec.decodes_heif():
        pytest.skip("pillow-heif is not installed (extra heif)")
    return (test_data / "nasty" / "samplefilehub.heif").read_bytes()


def test_heif_is_decoded_within_the_limits(heif):
    picture = codec.decode(heif)
    assert (picture.format, picture.width_px, picture.height_px, picture.frames) == ("heif", 640, 426, 1)
    assert codec.source(heif).image_01.shape == (426, 640, 3)
    np.testing.assert_array_equal(codec.luma(heif), cv2.cvtColor(picture.image_u8, cv2.COLOR_RGB2GRAY))
    assert reason_of(heif, limits=codec.Limits(max_pixels=640 * 426 - 1)) == "too_many_pixels"


def test_heif_that_declares_another_size_is_refused(heif):
    at = heif.index(b"ispe") + 8
    for sides in ((64, 64), (4000, 4000), (30_000, 30_000)):
        assert reason_of(heif[:at] + struct.pack(">II", *sides) + heif[at + 8 :]) in {"corrupt", "too_many_pixels"}


@pytest.mark.parametrize("share", [0.01, 0.5, 0.9, 0.9999])
def test_cut_heif_is_a_failure(heif, share):
    assert reason_of(heif[: int(share * len(heif))]) in {"truncated", "corrupt"}


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_heif_is_turned_once(heif, orientation):
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    stored = {1: photo_like(), 3: photo_like()[::-1, ::-1].copy(), 6: np.rot90(photo_like()).copy()}[orientation]
    data = saved(PIL.Image.fromarray(stored), "HEIF", quality=-1, chroma=444, exif=exif.tobytes())
    image_u8 = codec.decode(data).image_u8
    assert np.abs(image_u8.astype(int) - photo_like()).max() <= 4


def test_heif_of_several_pictures_gives_the_primary_one(heif):
    pictures = [PIL.Image.fromarray(np.full((64, 64, 3), 60 * number, np.uint8)) for number in range(3)]
    data = saved(pictures[0], "HEIF", quality=-1, save_all=True, append_images=pictures[1:], primary_index=1)
    picture = codec.decode(data)
    assert picture.frames == 3
    assert np.abs(picture.image_u8.astype(int) - 60).max() <= 2


def test_limit_of_pixels_is_inclusive():
    data = codec.encode_png(photo_like(10, 20))
    assert codec.decode(data, limits=codec.Limits(max_pixels=200)).width_px == 20
    assert reason_of(data, limits=codec.Limits(max_pixels=199)) == "too_many_pixels"


def test_limits_of_side_and_bytes_are_inclusive():
    data = codec.encode_png(photo_like(10, 20))
    assert codec.decode(data, limits=codec.Limits(max_side_px=20, max_bytes=len(data))).height_px == 10
    assert reason_of(data, limits=codec.Limits(max_side_px=19)) == "too_many_pixels"
    assert reason_of(data, limits=codec.Limits(max_bytes=len(data) - 1)) == "too_many_bytes"


@pytest.mark.parametrize("options", [{"lossless": True}, {"quality": 50}, {"save_all": True}])
def test_webp_is_measured_before_its_canvas_is_made(options):
    further = {"append_images": [PIL.Image.new("RGB", (300, 200))]} if "save_all" in options else {}
    data = saved(PIL.Image.new("RGB", (300, 200), "red"), "WEBP", **options, **further)
    assert opening._webp_size(data) == (300, 200)
    assert reason_of(data, limits=codec.Limits(max_pixels=59_999)) == "too_many_pixels"
    assert codec.decode(data, limits=codec.Limits(max_pixels=60_000)).height_px == 200


def test_webp_with_a_huge_canvas_gets_no_memory():
    data = saved(PIL.Image.new("RGB", (8, 8)), "WEBP", save_all=True, append_images=[PIL.Image.new("RGB", (8, 8), "red")])
    huge = data[:24] + (12_999).to_bytes(3, "little") * 2 + data[30:]
    program = f"""
import resource
from components.errors import DecodeError
from components.imaging import codec
def peak_mib(): return int(next(line for line in open("/proc/self/status") if line.startswith("VmPeak")).split()[1]) // 1024
before = peak_mib()
try:
    codec.decode({huge!r})
except DecodeError as error:
    assert error.reason == "too_many_pixels"
    raise SystemExit(peak_mib() - before > 100)
"""
    assert ended(program) == 0


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"quality": 95, "subsampling": "4:4:4"}])
def test_cut_jpeg_is_truncated_even_with_an_end_marker(share, options):
    data = saved(PIL.Image.fromarray(photo_like()), "JPEG", **options)
    cut = data[: 650 + int(share * (len(data) - 700))]
    assert reason_of(cut) == "truncated"
    if not (options.get("progressive") and share == 0.9):  # the last refinement bit of the luma: nothing to see
        assert reason_of(cut + b"\xff\xd9") == "truncated"


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF"])
def test_cut_file_is_a_failure(kind):
    data = saved(PIL.Image.fromarray(photo_like()), kind)
    assert reason_of(data[: len(data) // 2]) in {"truncated", "corrupt"}


@pytest.mark.parametrize("progressive", [False, True])
def test_whole_jpeg_with_a_constant_corner_is_whole(progressive):
    image_u8 = photo_like()
    image_u8[40:, 60:] = 255
    data = saved(PIL.Image.fromarray(image_u8), "JPEG", progressive=progressive)
    np.testing.assert_array_equal(codec.decode(data).image_u8, np.asarray(PIL.Image.open(io.BytesIO(data))))


def test_junk_after_the_end_of_a_jpeg_is_ignored():
    data = codec.encode_jpeg(photo_like(), 90)
    np.testing.assert_array_equal(codec.decode(data + b"junk" * 50).image_u8, codec.decode(data).image_u8)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_makes_every_picture_the_same(orientation):
    upright = PIL.Image.fromarray(photo_like(16, 32))
    stored = {
        2: PIL.Image.Transpose.FLIP_LEFT_RIGHT,
        3: PIL.Image.Transpose.ROTATE_180,
        4: PIL.Image.Transpose.FLIP_TOP_BOTTOM,
        5: PIL.Image.Transpose.TRANSPOSE,
        6: PIL.Image.Transpose.ROTATE_90,
        7: PIL.Image.Transpose.TRANSVERSE,
        8: PIL.Image.Transpose.ROTATE_270,
    }
    turned = upright.transpose(stored[orientation]) if orientation > 1 else upright
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    picture = codec.decode(saved(turned, "PNG", exif=exif))
    np.testing.assert_array_equal(picture.image_u8, photo_like(16, 32))
    assert (picture.width_px, picture.height_px) == (32, 16)


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK", "1", "I;16"])
def test_every_mode_becomes_rgb(mode):
    grey = PIL.Image.fromarray(photo_like()[..., 0])
    if mode == "I;16":
        image = PIL.Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    elif mode in "1P":
        image = grey.quantize(256) if mode == "P" else grey.convert("1", dither=PIL.Image.Dither.NONE)
    else:
        image = grey.convert("RGB").convert(mode)
    decoded = codec.decode(saved(image, "TIFF" if mode == "CMYK" else "PNG")).image_u8
    expected = np.asarray(grey.convert("1", dither=PIL.Image.Dither.NONE).convert("L")) if mode == "1" else np.asarray(grey)
    assert np.abs(decoded.astype(int) - expected[..., None]).max() <= 1


def test_float_samples_are_refused():
    assert reason_of(saved(PIL.Image.fromarray(np.ones((8, 8), np.float32)), "TIFF")) == "unsupported_format"


def test_transparency_is_laid_on_white():
    rgba = np.dstack([np.full((4, 4, 3), 100, np.uint8), np.array([[0, 255, 128, 0]] * 4, np.uint8)])
    decoded = codec.decode(codec_png(rgba)).image_u8
    np.testing.assert_array_equal(decoded[0, :, 0], [255, 100, 177, 255])


def codec_png(array):
    return saved(PIL.Image.fromarray(array), "PNG")


def test_animation_gives_its_first_frame():
    frames = [PIL.Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    data = saved(frames[0], "PNG", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(codec.decode(data).image_u8[0, 0], [255, 0, 0])


def test_wide_gamut_profile_is_converted(test_data):
    # the ring holds the sRGB colours, written in Display P3: the sRGB primaries come back whole
    decoded = codec.decode((test_data / "nasty" / "P3-sRGB-color-ring.png").read_bytes()).image_u8
    raw = np.asarray(PIL.Image.open(test_data / "nasty" / "P3-sRGB-color-ring.png").convert("RGB"))
    assert np.abs(decoded.astype(int) - raw).max() > 20


def test_srgb_profile_leaves_the_numbers_alone():
    profile = PIL.ImageCms.ImageCmsProfile(PIL.ImageCms.createProfile("sRGB")).tobytes()
    data = saved(PIL.Image.fromarray(photo_like()), "PNG", icc_profile=profile)
    np.testing.assert_array_equal(codec.decode(data).image_u8, photo_like())


def test_broken_profile_is_ignored():
    data = saved(PIL.Image.fromarray(photo_like()), "PNG", icc_profile=b"not a profile")
    np.testing.assert_array_equal(codec.decode(data).image_u8, photo_like())


def test_pixels_can_be_written_to():
    assert codec.decode(codec.encode_png(photo_like())).image_u8.flags.writeable


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": "4:4:4"}, {"keep_rgb": True}])
def test_luma_of_a_jpeg_is_its_grey_decode(options):
    data = saved(PIL.Image.fromarray(photo_like()), "JPEG", quality=90, **options)
    expected = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
    np.testing.assert_array_equal(codec.luma(data), expected)


def test_luma_of_a_jpeg_with_further_pictures_is_that_of_its_own():
    data = animated("MPO", 2)
    expected = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
    np.testing.assert_array_equal(codec.luma(data), expected)


def test_luma_of_a_jpeg_is_before_its_profile_and_that_of_others_after(test_data):
    profile = PIL.Image.open(test_data / "nasty" / "P3-sRGB-color-ring.png").info["icc_profile"]
    image = PIL.Image.fromarray(photo_like())
    np.testing.assert_array_equal(codec.luma(saved(image, "JPEG", icc_profile=profile)), codec.luma(saved(image, "JPEG")))
    assert (codec.luma(saved(image, "PNG", icc_profile=profile)) != codec.luma(saved(image, "PNG"))).any()


def rounded_bt601(rgb_u8):
    """OpenCV's: weights of 15 bits, rounded half up."""
    red, green, blue = np.moveaxis(rgb_u8.astype(np.int64), -1, 0)
    return ((9798 * red + 19235 * green + 3735 * blue + (1 << 14)) >> 15).astype(np.uint8)


def test_luma_of_a_png_is_bt601_as_opencv_rounds_it():
    expected = rounded_bt601(photo_like())
    np.testing.assert_array_equal(expected, cv2.cvtColor(photo_like(), cv2.COLOR_RGB2GRAY))
    np.testing.assert_array_equal(codec.luma(codec.encode_png(photo_like())), expected)


@pytest.mark.parametrize("kind", ["palette", "16 bit", "alpha", "CMYK JPEG", "CMYK TIFF", "WebP", "AVIF"])
def test_luma_of_everything_else_is_bt601_of_its_pixels(kind):
    image = PIL.Image.fromarray(photo_like())
    data = {
        "palette": lambda: saved(image.quantize(64), "PNG"),
        "16 bit": lambda: deep.png(photo_like().astype(np.uint16) * 257),
        "alpha": lambda: codec_png(np.dstack([photo_like(), photo_like()[..., 0]])),
        "CMYK JPEG": lambda: saved(image.convert("CMYK"), "JPEG"),
        "CMYK TIFF": lambda: saved(image.convert("CMYK"), "TIFF"),
        "WebP": lambda: saved(image, "WEBP"),
        "AVIF": lambda: saved(image, "AVIF"),
    }[kind]()
    np.testing.assert_array_equal(codec.luma(data), rounded_bt601(codec.decode(data).image_u8))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP"])
def test_luma_of_a_grey_picture_is_the_grey(kind):
    data = saved(PIL.Image.fromarray(photo_like()[..., 0]), kind)
    np.testing.assert_array_equal(codec.luma(data), np.asarray(PIL.Image.open(io.BytesIO(data))))


def test_luma_of_16_bit_grey_is_scaled_to_8():
    levels = np.arange(0, 65536, 257, dtype=np.uint16).reshape(16, 16)
    np.testing.assert_array_equal(codec.luma(saved(PIL.Image.fromarray(levels), "PNG")), levels // 257)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_luma_of_a_jpeg_is_as_upright_as_its_pixels(orientation):
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    data = saved(PIL.Image.fromarray(photo_like()[..., 0]), "JPEG", exif=exif)
    np.testing.assert_array_equal(codec.luma(data), codec.decode(data).image_u8[..., 0])


def test_luma_is_within_limits():
    with pytest.raises(DecodeError, match="too_many_pixels"):
        codec.luma(codec.encode_jpeg(photo_like(16, 32), 90), limits=codec.Limits(max_pixels=511))


def test_png_is_lossless_and_repeats_its_bytes():
    data = codec.encode_png(photo_like())
    assert data == codec.encode_png(photo_like())
    np.testing.assert_array_equal(codec.decode(data).image_u8, photo_like())


def test_decoding_does_not_swallow_other_output():
    program = (
        "import os, io, PIL.Image\nfrom components.imaging.codec import chatter\n"
        "with chatter.overheard() as said:\n    os.write(2, b'hello there\\nTIFFRead: broken strip.\\n')\n"
        "print(said)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=os.environ)
    assert done.stderr == "hello there\n"
    assert done.stdout.strip() == "['TIFFRead: broken strip.']"


def animated(kind, count, **options):
    frames = [PIL.Image.fromarray(np.full((8, 8, 3), 20 * number, np.uint8)) for number in range(count)]
    return saved(frames[0], kind, save_all=True, append_images=frames[1:], **options)


@pytest.mark.parametrize("kind", ["PNG", "GIF", "WEBP", "AVIF", "TIFF"])
def test_frames_are_counted_and_the_first_is_taken(kind):
    options = {"WEBP": {"lossless": True}, "AVIF": {"quality": 100, "subsampling": "4:4:4"}}.get(kind, {})
    picture = codec.decode(animated(kind, 7, **options))
    assert picture.frames == 7
    assert picture.image_u8.max() <= 1


@pytest.mark.parametrize("kind", ["PNG", "GIF", "WEBP", "AVIF", "TIFF", "BMP", "JPEG", "MPO"])
def test_a_still_has_one_frame(kind):
    assert codec.decode(saved(PIL.Image.fromarray(photo_like()), kind)).frames == 1


def test_pictures_beside_that_of_a_jpeg_are_no_frames():
    picture = codec.decode(animated("MPO", 3))
    assert (picture.format, picture.frames) == ("jpeg", 1)


def test_hostile_counts_of_frames_cost_no_time():
    still = saved(PIL.Image.new("L", (1, 1)), "GIF")
    image = still[still.index(b",") : -1]
    many = still[:-1] + image * 70_000
    endless = still[:-1] + b"!\xfe" + b"\x01x" * (2 << 20)
    apng = animated("PNG", 2).replace(b"acTL\x00\x00\x00\x02", b"acTL\x7f\xff\xff\xff")
    at = apng.index(b"acTL")
    apng = apng[: at + 12] + zlib.crc32(apng[at : at + 12]).to_bytes(4, "big") + apng[at + 16 :]
    start = time.process_time()
    assert [codec.decode(data).frames for data in (many, endless, apng)] == [65_535] * 3
    assert time.process_time() - start < 3


def test_pages_of_a_tiff_that_point_at_each_other_are_counted_once():
    data = bytearray(animated("TIFF", 2))
    first = struct.unpack_from("<I", data, 4)[0]
    second = struct.unpack_from("<I", data, first + 2 + 12 * struct.unpack_from("<H", data, first)[0])[0]
    struct.pack_into("<I", data, second + 2 + 12 * struct.unpack_from("<H", data, second)[0], first)
    assert codec.decode(bytes(data)).frames == 2


def ended(program):
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.returncode


def test_time_limit_ends_a_process_that_is_stuck_in_c():
    never_returns = "re.match('(a+)+b', 'a' * 99)"
    program = f"import re\nfrom components.imaging import codec\nwith codec.time_limit(0.2):\n    {never_returns}"
    assert ended(program) == -signal.SIGPROF


def test_time_limit_counts_processor_time_and_is_over_with_its_block():
    program = """
import time
from components.imaging import codec
from components.imaging.codec import deep, opening
def busy(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end: pass
with codec.time_limit(0.1):
    time.sleep(0.2)
busy(0.15)
with codec.time_limit(5):
    with codec.time_limit(0.1): pass
    busy(0.15)
"""
    assert ended(program) == 0


def test_inner_time_limit_does_not_lengthen_the_outer():
    program = """
import time
from components.imaging import codec
from components.imaging.codec import deep, opening
def busy(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end: pass
with codec.time_limit(0.1):
    with codec.time_limit(5):
        busy(0.05)
    busy(60)
"""
    assert ended(program) == -signal.SIGPROF


def test_other_threads_have_no_time_limit():
    def run():
        with codec.time_limit(1e-6):
            return sum(range(1000))

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(run).result() == 499_500

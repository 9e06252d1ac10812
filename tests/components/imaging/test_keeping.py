"""What a result keeps of its source: with nothing restored, a file comes out with the pixels and parts that it had."""

from __future__ import annotations

import io
import struct
import zlib

import cv2
import numpy as np
import PIL.Image
import PIL.ImageCms
import pytest

from components.errors import UnknownName
from components.imaging import codec
from components.imaging.codec import deep, exif

MAKE, ORIENTATION, EXPOSURE, MAKER_NOTE, EXIF_FOLDER = 0x010F, 0x0112, 0x829A, 0x927C, 0x8769


def saved(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def opened(data):
    image = PIL.Image.open(io.BytesIO(data))
    image.load()
    return image


def unrestored(data, kind="png"):
    """Through the codec and back, with nothing restored in between."""
    source = codec.source(data)
    return codec.render(source.image_01, source, kind)


def stored(data):
    """Channels as they are stored, alpha last, as OpenCV reads them."""
    levels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    return levels if levels.ndim == 2 else levels[..., [2, 1, 0, 3][: levels.shape[2]]]


def noise(*shape, dtype=np.uint16):
    return np.random.default_rng(7).integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)


def tiff_16(levels, *, orientation=1, extra=2):
    """RGB or RGBA with 16 bits, as Pillow cannot write it; extra 1 is alpha multiplied in, 2 is straight."""
    height, width, channels = levels.shape
    pixels = levels.astype("<u2").tobytes()
    entries = [(256, 3, width), (257, 3, height), (258, 3, None), (259, 3, 1), (262, 3, 2), (273, 4, 8), (274, 3, orientation)]
    entries += [(277, 3, channels), (278, 3, height), (279, 4, len(pixels)), (284, 3, 1)]
    entries += [(338, 3, extra)] if channels == 4 else []
    start = 8 + len(pixels)
    depths = start + 2 + 12 * len(entries) + 4
    folder = b"".join(
        struct.pack("<HHII", tag, kind, 1 if value is not None else channels, depths if value is None else value)
        for tag, kind, value in entries
    )
    head = b"II*\x00" + struct.pack("<I", start)
    return head + pixels + struct.pack("<H", len(entries)) + folder + bytes(4) + struct.pack(f"<{channels}H", *[16] * channels)


@pytest.mark.parametrize(
    "name", ["pngsuite_basn2c16.png", "pngsuite_basi2c16.png", "pngsuite_basn6a16.png", "pngsuite_basi0g16.png"]
)
def test_16_bit_png_comes_back_to_the_last_bit(test_data, name):
    data = (test_data / "nasty" / name).read_bytes()
    output = unrestored(data)
    visible = stored(data)[..., -1:] > 0 if "6a" in name else True
    np.testing.assert_array_equal(stored(output) * visible, stored(data) * visible)
    assert output[24:26] == data[24:26]  # depth and kind of colour


@pytest.mark.parametrize("name", ["pngsuite_basi4a16.png", "sharp_16-bit-grey-alpha.png"])
def test_16_bit_grey_with_alpha_stays_grey_with_its_alpha_and_profile(test_data, name):
    data = (test_data / "nasty" / name).read_bytes()
    output = unrestored(data)
    assert (output[24], output[25]) == (16, 4)
    before, after = stored(data), stored(output)
    np.testing.assert_array_equal(after[..., 3], before[..., 3])
    assert np.abs((after.astype(int) - before)[before[..., 3] > 0]).max() <= 1
    assert opened(output).info.get("icc_profile") == opened(data).info.get("icc_profile")


def test_16_bit_grey_tiff_and_12_bit_tiff_become_16_bit_grey_png(test_data):
    deep_grey = (test_data / "nasty" / "pil_16bit.cropped.tif").read_bytes()
    np.testing.assert_array_equal(stored(unrestored(deep_grey)), stored(deep_grey))
    twelve = (test_data / "nasty" / "pil_12bit.cropped.tif").read_bytes()
    np.testing.assert_array_equal(stored(unrestored(twelve)), np.rint(np.asarray(opened(twelve)) * (65535 / 4095)))


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("channels", [3, 4])
def test_16_bit_colour_tiff_comes_out_upright_as_16_bit_png(channels, orientation):
    levels = noise(5, 9, channels)
    expected = np.rot90(levels, -1) if orientation == 6 else levels
    np.testing.assert_array_equal(stored(unrestored(tiff_16(levels, orientation=orientation))), expected)


def test_the_second_decoder_leaves_its_remarks_to_itself(capfd):
    odd = bytearray(tiff_16(noise(5, 9, 3)))
    odd[odd.rfind(struct.pack("<HHI", 284, 3, 1)) + 4] = 2  # PlanarConfiguration has one value
    assert codec.source(bytes(odd)).bits in {8, 16}
    assert capfd.readouterr().err == ""


def test_alpha_that_is_multiplied_in_is_taken_out():
    levels = noise(5, 9, 4) | np.uint16(1 << 15)
    multiplied = levels.copy()
    multiplied[..., :3] = levels[..., :3].astype(np.uint64) * levels[..., 3:] // 65535
    assert np.abs(stored(unrestored(tiff_16(multiplied, extra=1))).astype(int) - levels).max() <= 2


def test_16_bit_colour_that_means_transparent_becomes_alpha():
    levels = noise(4, 6, 3) // 2
    plain = deep.png(levels)
    keyed = struct.pack(">HHH", *levels[1, 2].tolist())
    chunk = struct.pack(">I", 6) + b"tRNS" + keyed + struct.pack(">I", zlib.crc32(b"tRNS" + keyed))
    alpha_u16 = codec.source(plain[:33] + chunk + plain[33:]).alpha_u16
    assert alpha_u16[1, 2] == 0
    assert (np.delete(alpha_u16.ravel(), 8) == 65535).all()


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_16_bit_png_is_what_other_decoders_read(channels):
    levels = noise(7, 5, channels)
    data = deep.png(levels, icc=b"profile" * 9, exif=b"Exif\x00\x00II*\x00\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00")
    assert data == deep.png(levels, icc=b"profile" * 9, exif=b"Exif\x00\x00II*\x00\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00")
    read = stored(deep.png(levels))
    np.testing.assert_array_equal(read.reshape(7, 5, -1)[..., [0, 3] if channels == 2 else slice(None)], levels)
    image = opened(data)
    assert image.info["icc_profile"] == b"profile" * 9
    assert image.info["exif"].endswith(b"II*\x00\x08" + bytes(9))


@pytest.mark.parametrize(
    "name", ["P3-sRGB-color-ring.png", "R2020-sRGB-blue.png", "sharp_p3.png", "Google-Pixel2XL-16bit_acescg_g1_v4_krita.png"]
)
def test_wide_gamut_comes_back_with_its_own_profile_and_its_own_numbers(test_data, name):
    data = (test_data / "nasty" / name).read_bytes()
    if opened(data).height > 200:  # a band through the middle is quick and has all colours
        image = opened(data)
        data = saved(image.crop((0, 420, image.width, 580)), "PNG", icc_profile=image.info["icc_profile"])
    source = codec.source(data)
    output = codec.render(source.image_01, source, "png")
    assert opened(output).info["icc_profile"] == opened(data).info["icc_profile"]
    before, after = stored(data), stored(output)
    visible = before[..., 3] > 0 if before.shape[2] == 4 else np.ones(before.shape[:2], bool)
    assert after.dtype == before.dtype
    assert np.abs(after[visible].astype(int) - before[visible]).max() <= 1
    if before.dtype == np.uint8:  # and the network sees what the colour management of `decode` sees
        opaque = before[..., 3] == 255
        assert np.abs(source.image_01[opaque] * 255 - codec.decode(data).image_u8[opaque]).max() <= 1


def test_16_bit_adobe_rgb_comes_back_within_the_rounding_of_its_darkest_levels(test_data):
    data = (test_data / "nasty" / "tree_alpha_16bit.png").read_bytes()
    before, after = stored(data), stored(unrestored(data))
    np.testing.assert_array_equal(after[..., 3], before[..., 3])
    assert np.abs((after.astype(int) - before)[before[..., 3] > 0]).max() <= 8  # of 65535


def test_neutral_stays_neutral_in_a_wide_gamut(test_data):
    icc = opened((test_data / "nasty" / "R2020-sRGB-blue.png").read_bytes()).info["icc_profile"]
    grey = PIL.Image.fromarray(np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2))
    assert np.ptp(codec.source(saved(grey, "PNG", icc_profile=icc)).image_01, axis=2).max() < 1e-3


def test_profile_of_tables_and_broken_profile_become_srgb(test_data):
    tables = (test_data / "nasty" / "pil_icc_profile_big.jpg").read_bytes()
    for data in (tables, saved(PIL.Image.new("RGB", (4, 4), "red"), "JPEG", icc_profile=b"not a profile")):
        embedded = opened(unrestored(data, "jpeg")).info["icc_profile"]
        assert "sRGB" in PIL.ImageCms.getProfileDescription(PIL.ImageCms.ImageCmsProfile(io.BytesIO(embedded)))
        assert np.abs(codec.source(data).image_01 * 255 - codec.decode(data).image_u8).max() < 1e-3


@pytest.mark.parametrize(
    "name", ["pngsuite_basn4a08.png", "pngsuite_tbbn3p08.png", "pil_p_trns_single.png", "pil_avif_transparency.avif"]
)
@pytest.mark.parametrize("kind", ["png", "webp"])
def test_alpha_is_kept_as_it_was(test_data, name, kind):
    data = (test_data / "nasty" / name).read_bytes()
    before, after = opened(data).convert("RGBA"), opened(unrestored(data, kind)).convert("RGBA")
    np.testing.assert_array_equal(np.asarray(after)[..., 3], np.asarray(before)[..., 3])
    if kind == "png":
        visible = np.asarray(before)[..., 3] > 0
        np.testing.assert_array_equal(np.asarray(after)[visible], np.asarray(before)[visible])


def test_alpha_of_a_webp_is_kept(test_data):
    data = (test_data / "nasty" / "pil_transparent.webp").read_bytes()
    np.testing.assert_array_equal(np.asarray(opened(unrestored(data, "webp")))[..., 3], np.asarray(opened(data))[..., 3])


def test_jpeg_is_laid_on_white():
    rgba = np.dstack([np.full((8, 8, 3), 100, np.uint8), np.full((8, 8), 128, np.uint8)])
    output = codec.decode(unrestored(saved(PIL.Image.fromarray(rgba), "PNG"), "jpeg")).image_u8
    assert np.abs(output.astype(int) - 177).max() <= 1


def test_what_is_hidden_continues_the_visible_and_makes_no_edge():
    rgba = np.zeros((6, 6, 4), np.uint8)
    rgba[2:4, 2:4] = (200, 50, 50, 255)
    source = codec.source(saved(PIL.Image.fromarray(rgba), "PNG"))
    np.testing.assert_array_equal(np.rint(source.image_01 * 255), np.full((6, 6, 3), [200, 50, 50]))
    rgba[...] = 0
    assert (codec.source(saved(PIL.Image.fromarray(rgba), "PNG")).image_01 == 1).all()


def test_grey_comes_back_grey_whatever_colour_a_network_adds():
    source = codec.source(saved(PIL.Image.new("L", (8, 8), 90), "PNG"))
    tinted = source.image_01 + np.float32([0.1, 0, -0.1])
    assert opened(codec.render(tinted, source, "png")).mode == "L"
    assert opened(codec.render(tinted, source, "jpeg")).mode == "L"
    assert np.ptp(np.asarray(opened(codec.render(tinted, source, "webp"))).astype(int), axis=2).max() <= 1


def test_portraits_of_four_orientations_are_one_picture(test_data):
    # four JPEG files of one photo, each with its number drawn in the middle; blocks that were turned round otherwise
    portraits = [codec.source((test_data / "nasty" / f"Portrait_{number}.jpg").read_bytes()) for number in (1, 3, 6, 8)]
    first = portraits[0].image_01.copy()
    first[800:970, 540:660] = 0
    for other, psnr_floor in zip(portraits[1:], (48, 37, 36), strict=True):
        assert other.image_01.shape == (1800, 1200, 3)
        upright = other.image_01.copy()
        upright[800:970, 540:660] = 0
        assert -10 * np.log10(np.mean((upright - first) ** 2)) > psnr_floor
        assert -10 * np.log10(np.mean((upright[:, ::-1] - first) ** 2)) < 14


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_turns_as_decode_does(orientation):
    block = PIL.Image.Exif()
    block[ORIENTATION] = orientation
    data = saved(PIL.Image.fromarray(noise(4, 6, 3, dtype=np.uint8)), "PNG", exif=block)
    np.testing.assert_array_equal(np.rint(codec.source(data).image_01 * 255), codec.decode(data).image_u8)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("kind", list(codec.ENCODERS))
def test_exif_is_carried_and_orientation_is_reset(kind, bits):
    block = PIL.Image.Exif()
    block[MAKE], block[ORIENTATION] = "Camera", 6
    block[EXIF_FOLDER] = {MAKER_NOTE: b"\x01\x02note\x03"}
    if bits == 8:
        data = saved(PIL.Image.new("RGB", (32, 16), "red"), "JPEG", exif=block)
    else:
        data = deep.png(noise(16, 32, 3), exif=block.tobytes())
    output = opened(unrestored(data, kind))
    assert output.size == (16, 32)
    found = output.getexif()
    assert (found[MAKE], found[ORIENTATION]) == ("Camera", 1)
    assert found.get_ifd(EXIF_FOLDER)[MAKER_NOTE] == b"\x01\x02note\x03"


def test_exif_of_a_tiff_is_carried_without_what_describes_its_storage():
    block = PIL.Image.Exif()
    block[MAKE] = "Scanner"
    block[EXIF_FOLDER] = {EXPOSURE: 0.5}
    output = opened(unrestored(saved(PIL.Image.new("RGB", (8, 4)), "TIFF", exif=block.tobytes()))).getexif()
    assert output[MAKE] == "Scanner"
    assert output.get_ifd(EXIF_FOLDER)[EXPOSURE] == 0.5
    assert not {256, 257, 258, 273, 279} & set(output)
    assert codec.source(saved(PIL.Image.new("RGB", (8, 4)), "TIFF")).exif == b""


def test_big_endian_exif_is_reset_too():
    entry = bytes.fromhex("0112 0003 00000001 0008 0000".replace(" ", ""))
    reset = exif.upright(b"MM\x00*\x00\x00\x00\x08\x00\x01" + entry + b"\x00\x00\x00\x63")
    assert reset[6 + 18 : 6 + 20] == b"\x00\x01"
    assert reset[-4:] == bytes(4)  # the thumbnail is unlinked


@pytest.mark.parametrize("broken", [b"", b"II", b"Exif\x00\x00II*\x00\xff\xff\xff\x7f", b"garbage" * 9])
def test_broken_exif_is_left_out(broken):
    assert exif.upright(broken) == b""


@pytest.mark.parametrize("size", [(1, 1), (20000, 3), (3, 20000)])
def test_extreme_shapes_pass(size):
    data = saved(PIL.Image.new("RGBA", size, (10, 20, 30, 40)), "PNG")
    assert opened(unrestored(data)).size == size


def test_cmyk_becomes_rgb(test_data):
    data = (test_data / "nasty" / "pil_pil_sample_cmyk.jpg").read_bytes()
    output = opened(unrestored(data, "jpeg"))
    assert (output.mode, output.size) == ("RGB", (100, 100))


@pytest.mark.parametrize("kind", list(codec.ENCODERS))
def test_result_formats_decode_as_themselves(kind):
    smooth = np.broadcast_to(np.arange(0, 240, 5, dtype=np.uint8)[:, None, None], (48, 40, 3))
    picture = codec.decode(unrestored(codec.encode_png(smooth), kind))
    assert codec.identify(unrestored(codec.encode_png(smooth), kind)) == picture.format == kind
    assert np.abs(picture.image_u8.astype(int) - smooth).mean() < 4


def test_unknown_result_format_gets_a_suggestion():
    with pytest.raises(UnknownName, match="Did you mean 'jpeg'"):
        unrestored(codec.encode_png(np.zeros((4, 4, 3), np.uint8)), "jpg")


def test_side_that_the_format_cannot_say_is_an_error():
    with pytest.raises(ValueError, match="Choose png"):
        codec.check_size(codec.source(codec.encode_png(np.zeros((1, 16_384, 3), np.uint8))), "webp")


def test_result_of_another_size_is_an_error():
    source = codec.source(codec.encode_png(np.zeros((4, 4, 3), np.uint8)))
    with pytest.raises(ValueError, match="size of its source"):
        codec.render(source.image_01[:2], source, "png")

"""Packets of XMP: merged by what they say, embedded without touching anything else."""

from __future__ import annotations

import io
import time
from xml.etree import ElementTree

import numpy as np
import PIL.Image
import pytest

from components.imaging import codec

RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
NAME = f"{{{IPTC}}}DigitalSourceType"
CAPTURE = "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"


def packet(description):
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        f'<rdf:RDF xmlns:rdf="{RDF[1:-1]}">{description}</rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    ).encode()


def said(data):
    """Every digital source type of a packet, as attributes and as elements."""
    root = ElementTree.fromstring(data.decode("utf-8-sig"))
    return [value for node in root.iter() if (value := node.text if node.tag == NAME else node.get(NAME))]


def test_a_picture_without_xmp_gets_a_packet_that_says_what_it_is():
    assert said(codec.marked(b"")) == [codec.EDITED_BY_MODEL]


@pytest.mark.parametrize(
    "before",
    [
        f'<rdf:Description rdf:about="" xmlns:i="{IPTC}" i:DigitalSourceType="{CAPTURE}" i:Event="a fair"/>',
        (
            f"<rdf:Description rdf:about='' xmlns:i='{IPTC}' i:Event='a fair'>"
            f"<i:DigitalSourceType>{CAPTURE}</i:DigitalSourceType></rdf:Description>"
        ),
        (
            f'<rdf:Description rdf:about="" xmlns:i="{IPTC}" i:Event="a fair"><i:DigitalSourceType rdf:resource="{CAPTURE}"/>'
            "</rdf:Description>"
        ),
    ],
)
def test_what_a_packet_said_of_its_source_is_replaced_and_the_rest_stays(before):
    merged = codec.marked(packet(before))
    assert said(merged) == [codec.EDITED_BY_MODEL]
    assert b"digitalCapture" not in merged
    events = [node.get(f"{{{IPTC}}}Event") for node in ElementTree.fromstring(merged.decode("utf-8-sig")).iter()]
    assert events.count("a fair") == 1


def test_marking_twice_says_it_once():
    once = codec.marked(packet('<rdf:Description rdf:about="uuid:1" xmlns:d="d" d:title="t"/>'))
    assert said(codec.marked(once)) == [codec.EDITED_BY_MODEL]
    assert once.count(b'about="uuid:1"') == 2  # one subject for the whole packet


@pytest.mark.parametrize(
    "broken",
    [b"<x", b"\xff\xfe<x/>", b"<a/>", b'<!DOCTYPE a [<!ENTITY b "b">]><a>&b;</a>', b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"],
)
def test_a_packet_that_cannot_be_merged_gives_way_to_one_that_can_be_read(broken):
    assert said(codec.marked(broken)) == [codec.EDITED_BY_MODEL]


def test_long_packets_are_merged_in_time_that_grows_with_their_length():
    described = packet('<rdf:Description rdf:about="">' + "<d:a xmlns:d='d'>x</d:a>" * 20_000 + "</rdf:Description>")
    began = time.process_time()
    assert said(codec.marked(described)) == [codec.EDITED_BY_MODEL]
    assert time.process_time() - began < 5


def files():
    image_u8 = np.random.default_rng(0).integers(0, 256, (33, 17, 4), dtype=np.uint8)
    opaque, exif = PIL.Image.fromarray(image_u8[..., :3]), PIL.Image.Exif()
    exif[0x010F] = "maker"
    for name, image, options in (
        ("jpeg", opaque, {}),
        ("jpeg", opaque, {"exif": exif.tobytes(), "icc_profile": b"profile" * 20_000}),
        ("png", PIL.Image.fromarray(image_u8), {"exif": exif.tobytes()}),
        ("webp", opaque, {}),
        ("webp", opaque, {"exif": exif.tobytes(), "icc_profile": b"profile"}),
        ("webp", PIL.Image.fromarray(image_u8), {"lossless": True}),
        ("webp", opaque, {"lossless": True}),
    ):
        buffer = io.BytesIO()
        image.save(buffer, name, **options)
        yield pytest.param(buffer.getvalue(), id=f"{name}-{image.mode}-{'-'.join(options)}")


@pytest.mark.parametrize("encoded", tuple(files()))
def test_embedding_changes_neither_pixels_nor_other_metadata(encoded):
    after = codec.embed(encoded, codec.marked(b""))
    images = [PIL.Image.open(io.BytesIO(data)) for data in (encoded, after)]
    pixels = [np.asarray(image) for image in images]
    np.testing.assert_array_equal(pixels[1], pixels[0])
    assert (images[1].mode, images[1].size, images[1].format) == (images[0].mode, images[0].size, images[0].format)
    for name in ("exif", "icc_profile"):
        assert images[1].info.get(name) == images[0].info.get(name)
    found = images[1].info.get("xmp") or images[1].info["XML:com.adobe.xmp"].encode()
    assert said(found) == [codec.EDITED_BY_MODEL]
    assert codec.source(after).xmp == codec.marked(b"")
    assert codec.embed(encoded, b"") == encoded


def test_a_packet_too_long_for_a_jpeg_leaves_the_mark_alone():
    buffer = io.BytesIO()
    PIL.Image.new("RGB", (8, 8)).save(buffer, "jpeg")
    long = packet(f'<rdf:Description rdf:about="" xmlns:d="d" d:title="{"t" * 70_000}"/>')
    assert said(codec.source(codec.embed(buffer.getvalue(), codec.marked(long))).xmp) == [codec.EDITED_BY_MODEL]
    assert codec.embed(buffer.getvalue(), long) == buffer.getvalue()


def test_orientation_is_reset_as_the_pixels_are_upright():
    buffer = io.BytesIO()
    turned = packet('<rdf:Description rdf:about="" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/>')
    PIL.Image.new("RGB", (8, 8)).save(buffer, "jpeg", xmp=turned)
    assert b'tiff:Orientation="1"' in codec.source(buffer.getvalue()).xmp

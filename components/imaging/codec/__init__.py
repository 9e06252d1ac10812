"""The only decoder and encoder of pictures; the one home of Pillow.

Every file ends as a whole picture or as a DecodeError with one of REASONS, never as half a picture. `decode` gives 8-bit
RGB in sRGB, upright, the first frame, with transparency laid on white. `source` keeps beside the pixels what a result
shall carry, and `render` writes it.
"""

from components.imaging.codec.clock import time_limit, verdict_of_death
from components.imaging.codec.keeping import Source, source
from components.imaging.codec.opening import REASONS, STORED, Limits, decodes_heif
from components.imaging.codec.reading import Image, Picture, decode, identify, luma, size_px
from components.imaging.codec.writing import (
    ENCODERS,
    avif_version,
    check_size,
    encode_avif,
    encode_jpeg,
    encode_png,
    encode_webp,
    libjpeg_version,
    render,
    webp_version,
)
from components.imaging.codec.xmp import EDITED_BY_MODEL, embed, marked

__all__ = [
    "EDITED_BY_MODEL",
    "ENCODERS",
    "REASONS",
    "STORED",
    "Image",
    "Limits",
    "Picture",
    "Source",
    "avif_version",
    "check_size",
    "decode",
    "decodes_heif",
    "embed",
    "encode_avif",
    "encode_jpeg",
    "encode_png",
    "encode_webp",
    "identify",
    "libjpeg_version",
    "luma",
    "marked",
    "render",
    "size_px",
    "source",
    "time_limit",
    "verdict_of_death",
    "webp_version",
]

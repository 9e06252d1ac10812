"""The only decoder and encoder of pictures; the one home of Pillow.

Every file ends as a whole picture or as a DecodeError with one of REASONS, never as half a picture. What
leaves here is 8-bit RGB in sRGB, upright, the first frame, with transparency laid on white.
"""

from components.imaging.codec.opening import REASONS, STORED, Limits
from components.imaging.codec.reading import Image, Metadata, Picture, attached, decode, luma
from components.imaging.codec.writing import ENCODERS, encode, encode_jpeg, encode_png

__all__ = [
    "ENCODERS",
    "REASONS",
    "STORED",
    "Image",
    "Limits",
    "Metadata",
    "Picture",
    "attached",
    "decode",
    "encode",
    "encode_jpeg",
    "encode_png",
    "luma",
]

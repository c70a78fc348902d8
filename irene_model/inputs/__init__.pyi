from .external_files import read_json, read_tensors, sha256_of_files
from .image_encoder import FrozenImageEncoder
from .pictures import levels_of_picture
from .pixels import (
    STRETCH_PERCENT,
    Levels,
    NoPicture,
    Pixels,
    aspect_of,
    from_channels,
    square_and_shades,
)
from .processor import Case, IreneProcessor
from .tensors import (
    LAB_CAP,
    Batch,
    Hidden,
    decode,
    draw_hidden,
    drop_modalities,
    encode_pixels,
    encode_records,
    hide,
    masks,
    scale_lab,
    scale_values,
    take,
    without,
)
from .text import TextReader, vocabulary, words
from .text_encoder import FrozenEncoder, sha256_of

__all__ = [
    "LAB_CAP",
    "STRETCH_PERCENT",
    "Batch",
    "Case",
    "FrozenEncoder",
    "FrozenImageEncoder",
    "Hidden",
    "IreneProcessor",
    "Levels",
    "NoPicture",
    "Pixels",
    "TextReader",
    "aspect_of",
    "decode",
    "draw_hidden",
    "drop_modalities",
    "encode_pixels",
    "encode_records",
    "from_channels",
    "hide",
    "levels_of_picture",
    "masks",
    "read_json",
    "read_tensors",
    "scale_lab",
    "scale_values",
    "sha256_of",
    "sha256_of_files",
    "square_and_shades",
    "take",
    "vocabulary",
    "without",
    "words",
]

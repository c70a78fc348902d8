from .external_files import read_json, read_tensors, sha256_of_files
from .pixels import Pixels, fitted, to_grey, windowed
from .processor import Case, IreneProcessor
from .tensors import (
    LAB_CAP,
    Batch,
    drop_modalities,
    encode_pixels,
    encode_records,
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
    "Batch",
    "Case",
    "FrozenEncoder",
    "IreneProcessor",
    "Pixels",
    "TextReader",
    "drop_modalities",
    "encode_pixels",
    "encode_records",
    "fitted",
    "masks",
    "read_json",
    "read_tensors",
    "scale_lab",
    "scale_values",
    "sha256_of",
    "sha256_of_files",
    "take",
    "to_grey",
    "vocabulary",
    "windowed",
    "without",
    "words",
]

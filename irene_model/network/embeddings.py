"""Inputs of all modalities become tokens of one width.

Legend: B records, C channels, D width, T text tokens, E text width, L laboratory values, P values
of all further panels, F width of a frozen image encoder's vectors. The image stream is [class
token, patches], and an encoder's vector of the whole image stands in the class token's place; the
clinical stream is [text, labs, sex, age], in the authors' order, then the panels, then patches of
sound (see `SoundTokens`). What a mask hides is replaced before it is read, so neither its value nor
a NaN there reaches an output or a gradient. The class token belongs to the image: without an image
it is absent too.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from irene_model.network.attention import Streams, join_presence
from irene_model.network.config import IreneConfig
from irene_model.network.tokens import (
    ClassToken,
    Group,
    PanelTokens,
    PositionTable,
    SoundTokens,
    present_only,
)


class IreneEmbeddings(nn.Module):
    """One projection and one table of positions for each modality."""

    def __init__(self, config: IreneConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.config = config
        if config.reads_image:
            if config.image_width:
                self.image = nn.Linear(config.image_width, width)
            else:
                side = config.patch_size
                self.patches = nn.Conv2d(config.num_channels, width, kernel_size=side, stride=side)
                self.class_token = ClassToken(width)
            self.image_positions = PositionTable(1 + config.num_patches, width)
        if config.text_length:
            if config.vocab_size:
                self.text_tokens = nn.Embedding(config.vocab_size, config.text_width)
            self.text = nn.Linear(config.text_width, width)
            self.text_positions = PositionTable(config.text_length, width)
        if config.num_labs:
            self.labs = nn.Linear(1, width)
            self.lab_positions = PositionTable(config.num_labs, width)
        if config.reads_demographics:
            self.sex = nn.Linear(1, width)
            self.sex_position = PositionTable(1, width)
            self.age = nn.Linear(1, width)
            self.age_position = PositionTable(1, width)
        self.panels = nn.ModuleDict(
            {name: PanelTokens(n, each, width) for name, (n, each) in config.panels.items()}
        )
        if config.sound_grid:
            self.sounds = SoundTokens(config.sound_grid, width)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(
        self,
        *,
        age: Tensor,
        sex: Tensor,
        pixel_values: Tensor | None = None,
        image_embeddings: Tensor | None = None,
        image_mask: Tensor | None = None,
        text_embeddings: Tensor | None = None,
        input_ids: Tensor | None = None,
        text_mask: Tensor | None = None,
        lab_values: Tensor | None = None,
        lab_mask: Tensor | None = None,
        demographics_mask: Tensor | None = None,
        panel_values: Tensor | None = None,
        panel_mask: Tensor | None = None,
        sound_values: Tensor | None = None,
        sound_mask: Tensor | None = None,
    ) -> Streams:
        """Inputs as in `IreneModel.forward` to both streams; a wrong shape is a ValueError."""
        config = self.config
        seen = image_embeddings if config.image_width else pixel_values
        batch = len(age if seen is None else seen)
        image: list[Group] = []
        if config.reads_image:
            image.append(self._image(seen, image_mask, batch))
        clinical: list[Group] = []
        if config.text_length:
            clinical.append(self._text(text_embeddings, input_ids, text_mask, batch))
        if config.num_labs:
            lab_values = _require("lab_values", lab_values, (batch, config.num_labs))
            lab_present = _presence("lab_mask", lab_mask, (batch, config.num_labs))
            labs = self._numbers(self.labs, lab_values, lab_present)
            clinical.append((self.lab_positions(labs), lab_present))
        if config.reads_demographics:
            clinical += self._demographics(age, sex, demographics_mask, batch)
        if config.panels:
            clinical += self._panels(panel_values, panel_mask, batch)
        if config.sound_grid:
            there = (batch, config.clinical_tokens["sounds"])
            patches = _require("sound_values", sound_values, (*there, config.sound_grid[3]))
            clinical.append(self.sounds(patches, _presence("sound_mask", sound_mask, there)))
        image_tokens, image_present = self._stream(image, batch)
        clinical_tokens, clinical_present = self._stream(clinical, batch)
        return Streams(image_tokens, clinical_tokens, image_present, clinical_present)

    def _stream(self, groups: list[Group], batch: int) -> Group:
        """Groups of tokens as one stream, which has no token where the model reads no group."""
        nothing = next(self.parameters()).new_zeros(batch, 0, self.config.hidden_size)
        tokens = [group for group, _ in groups] or [nothing]
        present = join_presence([mask for _, mask in groups] or [None], tokens)
        return self.dropout(torch.cat(tokens, dim=1)), present

    def _image(self, given: Tensor | None, image_mask: Tensor | None, batch: int) -> Group:
        """Pixels, or an encoder's vectors (B,1+N,F), to tokens (B,1+N,D) and their presence."""
        seen = _presence("image_mask", image_mask, (batch,))
        shape: tuple[int, ...]
        if self.config.image_width:
            shape = (batch, 1 + self.config.num_patches, self.config.image_width)
            vectors = present_only(_require("image_embeddings", given, shape), seen)
            image = self.image(vectors.to(self.image.weight.dtype))
        else:
            side = self.config.image_size
            shape = (batch, self.config.num_channels, side, side)
            pixels = present_only(_require("pixel_values", given, shape), seen)
            image = self.patches(pixels.to(self.patches.weight.dtype))
            image = self.class_token(image.flatten(2).transpose(1, 2))  # of (B, patches, D)
        image = self.image_positions(image)
        return image, None if seen is None else seen[:, None].expand(-1, image.shape[1])

    def _demographics(
        self, age: Tensor, sex: Tensor, demographics_mask: Tensor | None, batch: int
    ) -> list[Group]:
        """Sex and age, each one token (B,1,D), and their presence."""
        _require("age", age, (batch,))
        _require("sex", sex, (batch,))
        known = _presence("demographics_mask", demographics_mask, (batch, 2))
        age_known, sex_known = (None, None) if known is None else (known[:, :1], known[:, 1:])
        sexes = self._numbers(self.sex, sex[:, None], sex_known)
        ages = self._numbers(self.age, age[:, None], age_known)
        return [(self.sex_position(sexes), sex_known), (self.age_position(ages), age_known)]

    def _panels(
        self, panel_values: Tensor | None, panel_mask: Tensor | None, batch: int
    ) -> list[Group]:
        """Each panel's tokens and their presence."""
        shape = (batch, self.config.num_panel_values)
        values = _require("panel_values", panel_values, shape)
        known = _presence("panel_mask", panel_mask, shape)
        sizes = [size for size, _ in self.config.panels.values()]
        parts = torch.split(values, sizes, dim=1)
        there = [None] * len(sizes) if known is None else torch.split(known, sizes, dim=1)
        return [
            panel(part, present)
            for panel, part, present in zip(self.panels.values(), parts, there, strict=True)
        ]

    def _text(
        self,
        text_embeddings: Tensor | None,
        input_ids: Tensor | None,
        text_mask: Tensor | None,
        batch: int,
    ) -> Group:
        """Text tokens (B,T,D) and their presence."""
        length = self.config.text_length
        present = _presence("text_mask", text_mask, (batch, length))
        if self.config.vocab_size and text_embeddings is None:
            embedded = self.token_vectors(input_ids, present, batch)
        else:
            shape = (batch, length, self.config.text_width)
            embedded = _require("text_embeddings", text_embeddings, shape)
        # Again after the lookup: a hidden token must not read row 0 of the table.
        embedded = present_only(embedded, present).to(self.text.weight.dtype)
        return self.text_positions(self.text(embedded)), present

    def word_vectors(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """What the model's own table has (B,T,E) for the `input_ids` of `inputs`.

        `forward` takes them as `text_embeddings`, so that what else reads them looks up no second
        time.
        """
        mask = inputs.get("text_mask")
        present = None if mask is None else mask.bool()
        return self.token_vectors(inputs.get("input_ids"), present, len(inputs["age"]))

    def token_vectors(self, ids: Tensor | None, present: Tensor | None, batch: int) -> Tensor:
        """Vectors (B,T,E) of token ids (B,T); of ids (B,T,W) the mean of those not below 0.

        Where `present` is false an id may be anything. A token that is not there reads row 0, and
        what it reads takes no part.
        """
        shared = () if ids is None or ids.ndim < 3 or ids.shape[2] < 2 else (ids.shape[2],)
        ids = _require("input_ids", ids, (batch, self.config.text_length, *shared))
        ids = present_only(ids, present)
        if not shared:
            vectors: Tensor = self.text_tokens(ids)
            return vectors
        there = ids >= 0
        vectors = present_only(self.text_tokens(ids.clamp(min=0)), there)
        return vectors.sum(dim=2) / there.sum(dim=2, keepdim=True).clamp(min=1)

    @staticmethod
    def _numbers(layer: nn.Linear, values: Tensor, present: Tensor | None) -> Tensor:
        """Numbers (B,N), each as one token through the shared `layer`: (B,N,D)."""
        values = present_only(values, present).to(layer.weight.dtype)
        tokens: Tensor = layer(values.unsqueeze(-1))
        return tokens


def _presence(name: str, mask: Tensor | None, shape: tuple[int, ...]) -> Tensor | None:
    return None if mask is None else _require(name, mask, shape).bool()


def _require(name: str, tensor: Tensor | None, shape: tuple[int, ...]) -> Tensor:
    """`tensor`, if it is there and has `shape`; else a ValueError that names it."""
    if tensor is None:
        raise ValueError(f"{name} of shape {shape} is required by this model's configuration")
    if tuple(tensor.shape) != shape:
        raise ValueError(f"{name} must have shape {shape}, not {tuple(tensor.shape)}")
    return tensor

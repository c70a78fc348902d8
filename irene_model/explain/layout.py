"""Where each input stands among an IRENE's tokens: [class token, patches, text, labs, sex, age],
then the study's further panels, then the patches of its further modalities.

Legend: B records, S all tokens: N of the image (the class token and h·w patches), then M clinical
ones (T text tokens, L laboratory values, sex, age, panels, patches), in the order of
`irene_model.network.embeddings`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from irene_model.modalities import FURTHER
from irene_model.network import IreneConfig


@dataclass(frozen=True, kw_only=True)
class TokenLayout:
    """Positions of all inputs, for reading attention maps.

    grid: patches as (rows, columns). text, labs: how many tokens each has. panels: each panel's
    values, and how many of them share a token. further: the patches of each further modality.
    """

    grid: tuple[int, int]
    text: int
    labs: int
    panels: Mapping[str, Sequence[int]] = field(default_factory=dict)
    further: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, config: IreneConfig) -> "TokenLayout":
        """The layout of a model's tokens."""
        side = config.image_size // config.patch_size
        return cls(
            grid=(side, side),
            text=config.text_length,
            labs=config.num_labs,
            panels=config.panels,
            further={each.name: n for each in FURTHER if (n := config.clinical_tokens[each.name])},
        )

    @property
    def num_image(self) -> int:
        """N: the class token and the patches."""
        return 1 + self.grid[0] * self.grid[1]

    @property
    def image(self) -> slice:
        """The image stream among all tokens."""
        return slice(0, self.num_image)

    @property
    def clinical(self) -> slice:
        """The clinical stream among all tokens."""
        return slice(self.num_image, max(part.stop for part in self.parts.values()))

    @property
    def parts(self) -> dict[str, slice]:
        """Name -> its place among all tokens; together they are all of them, in order."""
        start, places = 0, {}
        sizes = {"class": 1, "patches": self.num_image - 1, "text": self.text, "labs": self.labs}
        panels = {name: self.tokens_of(name) for name in self.panels}
        for name, size in {**sizes, "sex": 1, "age": 1, **panels, **self.further}.items():
            places[name] = slice(start, start + size)
            start += size
        return places

    def tokens_of(self, panel: str) -> int:
        """How many tokens a panel has."""
        values, per_token = self.panels[panel]
        return math.ceil(values / per_token)

    def by_token(self, values: Tensor, panel: str) -> Tensor:
        """A panel's values (B,V) as (B,T,V/T), the last token's filled up with zeros."""
        per_token = self.panels[panel][1]
        padding = self.tokens_of(panel) * per_token - values.shape[1]
        return F.pad(values, (0, padding)).reshape(len(values), -1, per_token)

    def by_panel(self, values: Tensor) -> dict[str, Tensor]:
        """The values (B,P) of all panels, each panel's own."""
        start, parts = 0, {}
        for name, (size, _) in self.panels.items():
            parts[name] = values[:, start : start + size]
            start += size
        return parts

    def presence(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Which tokens a batch has, (B,S) bool; a mask that the batch lacks means everything."""
        ages = batch["age"]

        def mask(name: str, *shape: int) -> Tensor:
            given = batch.get(name)
            everything = ages.new_ones(len(ages), *shape, dtype=torch.bool)
            return everything if given is None else given.bool()

        known = mask("demographics_mask", 2)  # age, then sex
        values = mask("panel_mask", sum(size for size, _ in self.panels.values()))
        panels = [self.by_token(v, name).any(dim=2) for name, v in self.by_panel(values).items()]
        return torch.cat(
            [
                mask("image_mask")[:, None].expand(-1, self.num_image),
                mask("text_mask", self.text),
                mask("lab_mask", self.labs),
                known[:, 1:],
                known[:, :1],
                *panels,
                *(mask(e.mask, self.further[e.name]) for e in FURTHER if e.name in self.further),
            ],
            dim=1,
        )

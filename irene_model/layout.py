"""Where each input stands among an IRENE's tokens: [class token, patches, text, labs, sex, age].

Legend: B records, S all tokens: N of the image (the class token and h·w patches), then M clinical
ones (T text tokens, L laboratory values, sex, age), in the order of `irene_model.embeddings`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from irene_model.config import IreneConfig


@dataclass(frozen=True, kw_only=True)
class TokenLayout:
    """Positions of all inputs, for reading attention maps.

    grid: patches as (rows, columns). text, labs: how many tokens each has.
    """

    grid: tuple[int, int]
    text: int
    labs: int

    @classmethod
    def of(cls, config: IreneConfig) -> "TokenLayout":
        """The layout of a model's tokens."""
        side = config.image_size // config.patch_size
        return cls(grid=(side, side), text=config.text_length, labs=config.num_labs)

    @property
    def num_image(self) -> int:
        """N: the class token and the patches."""
        return 1 + self.grid[0] * self.grid[1]

    @property
    def num_clinical(self) -> int:
        """M: text, laboratory values, sex and age."""
        return self.text + self.labs + 2

    @property
    def image(self) -> slice:
        """The image stream among all tokens."""
        return slice(0, self.num_image)

    @property
    def clinical(self) -> slice:
        """The clinical stream among all tokens."""
        return slice(self.num_image, self.num_image + self.num_clinical)

    @property
    def parts(self) -> dict[str, slice]:
        """Name -> its place among all tokens; together they are all of them, in order."""
        start, places = 0, {}
        sizes = {"class": 1, "patches": self.num_image - 1, "text": self.text, "labs": self.labs}
        for name, size in {**sizes, "sex": 1, "age": 1}.items():
            places[name] = slice(start, start + size)
            start += size
        return places

    def presence(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Which tokens a batch has, (B,S) bool; a mask that the batch lacks means everything."""
        pixels = batch["pixel_values"]

        def mask(name: str, *shape: int) -> Tensor:
            given = batch.get(name)
            everything = pixels.new_ones(len(pixels), *shape, dtype=torch.bool)
            return everything if given is None else given.bool()

        known = mask("demographics_mask", 2)  # age, then sex
        return torch.cat(
            [
                mask("image_mask")[:, None].expand(-1, self.num_image),
                mask("text_mask", self.text),
                mask("lab_mask", self.labs),
                known[:, 1:],
                known[:, :1],
            ],
            dim=1,
        )

"""The part of study.yaml that says how a recording of breath becomes tokens."""

import math

from pydantic import Field, model_validator

from irene_model.study.names import PanelName
from irene_model.study.settings import Settings

_HOP_S = 0.032  # from one frame to the next; a window is twice as long
_MOST_TOKENS = 4096


class SoundShape(Settings):
    """Recordings of at most `seconds`, at each of `positions` on the chest, as log-mel patches.

    A patch is `patch` = [mels, frames]; a frame is 32 ms. `sample_rate` in Hz: what lies above half
    of it is not heard.
    """

    sample_rate: int = Field(default=4000, ge=1000, le=48_000)
    seconds: float = Field(default=15.0, gt=0, le=120)
    mels: int = Field(default=64, ge=4, le=256)
    patch: tuple[int, int] = (16, 16)
    positions: tuple[PanelName, ...] = Field(default=("chest",), min_length=1, max_length=16)

    @model_validator(mode="after")
    def _patches_tile_the_spectrogram(self) -> "SoundShape":
        if len(set(self.positions)) < len(self.positions):
            raise ValueError("positions: one is named twice")
        if min(self.patch) < 1 or self.mels % self.patch[0]:
            raise ValueError(f"mels {self.mels} must be a multiple of the patch's {self.patch[0]}")
        if self.grid[2] < 1 or self.tokens > _MOST_TOKENS:
            raise ValueError(
                f"seconds {self.seconds:g} make {self.tokens} patches; 1 to {_MOST_TOKENS} are read"
            )
        # The lowest band of the mel scale is the narrowest; HTK's formula, as in the filters.
        top = 2595 * math.log10(1 + self.sample_rate / 2 / 700)
        narrowest = 700 * (10 ** (top / (self.mels + 1) / 2595) - 1)
        if narrowest < self.sample_rate / self.fft:
            raise ValueError(f"mels {self.mels} are more than a window of 64 ms can tell apart")
        return self

    @property
    def hop(self) -> int:
        """Samples from one frame to the next."""
        return round(self.sample_rate * _HOP_S)

    @property
    def fft(self) -> int:
        """Samples of a window, filled up with as many zeros: frequencies lie twice as close."""
        return 4 * self.hop

    @property
    def samples(self) -> int:
        """The most samples of a recording that are read."""
        return int(self.seconds * self.sample_rate)

    @property
    def grid(self) -> tuple[int, int, int]:
        """Positions, patches of frequency, patches of time."""
        frames = self.samples // self.hop - 1
        return len(self.positions), self.mels // self.patch[0], frames // self.patch[1]

    @property
    def patch_seconds(self) -> float:
        """From the start of a patch to that of the next."""
        return self.patch[1] * self.hop / self.sample_rate

    @property
    def width(self) -> int:
        """Numbers in a patch."""
        return math.prod(self.patch)

    @property
    def tokens(self) -> int:
        """Patches of all positions."""
        return math.prod(self.grid)

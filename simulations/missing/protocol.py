"""What is crossed: models, rates, ways to lack a modality, seeds; and one training of it."""

from dataclasses import dataclass
from pathlib import Path

from irene_model.errors import ConfigError
from simulations.missing.lacks import WAYS, Way


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """What is crossed. Rates are shares of records that lose a modality, 0 to 1.

    The first model is trained on each modality alone too.
    """

    models: tuple[str, ...] = ("irene", "late_mean")
    train_rates: tuple[float, ...] = (0.0, 0.5)
    test_rates: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75, 1.0)
    ways: tuple[Way, ...] = WAYS
    seeds: int = 1

    def __post_init__(self) -> None:
        """ConfigError for a rate that is none, and for one that is named twice."""
        for option, rates in (("train", self.train_rates), ("test", self.test_rates)):
            if not rates or not all(0 <= rate <= 1 for rate in rates):
                raise ConfigError(f"--{option}-rates: give shares from 0 to 1, as 0,0.5,1")
            if len(set(rates)) < len(rates):
                raise ConfigError(f"--{option}-rates: a rate is named twice")
        for way in self.ways:
            if way not in WAYS:
                raise ConfigError(f"--ways: there is no way '{way}'; there are {', '.join(WAYS)}")


@dataclass(frozen=True, kw_only=True)
class Training:
    """One training: of what lack. alone: the modality that it has and no other."""

    model: str
    seed: int
    modality: str | None = None
    rate: float = 0.0
    way: Way = "random"
    alone: str | None = None

    @property
    def name(self) -> str:
        """`whole`, `text-0.5-random`, `alone-text`."""
        if self.alone:
            return f"alone-{self.alone}"
        return f"{self.modality}-{self.rate:g}-{self.way}" if self.modality else "whole"

    def folder(self, out: Path) -> Path:
        """Where its files lie."""
        return out / f"seed-{self.seed}" / "missing" / self.model / self.name

"""Sites of a secure study for tests of the server: real grids, noise and masks, made-up sums."""

from collections.abc import Callable
from typing import Any

import numpy as np

from irene_model.exchange.protocol import Arrays, Flat
from irene_model.exchange.protocol import Message as Typed
from irene_model.exchange.replies import EvaluateReply, HelloReply, TrainReply
from irene_model.metrics.coarse_bins import COARSE_BINS
from irene_model.secure.grid import Grid, grid_of_evaluation, grid_of_training
from irene_model.secure.keystream import Keystream
from irene_model.secure.masks import Attempt, MaskKey, mask
from irene_model.secure.shares import sample_rate
from irene_model.study.study import Study
from irene_model.weights.weights import new_model, to_arrays, trained_names
from server.secure.shared_accounting import noise_among
from tests.helpers.direct_grid import Node
from tests.helpers.made_up_site import study_of

NAMES = ("east", "north", "south", "west")
PATIENTS = 400


def keys_of(names: tuple[str, ...] = NAMES) -> dict[str, MaskKey]:
    """The same keys every time."""
    return {name: MaskKey.from_bytes(name.encode().ljust(32, b"\1")) for name in names}


def secure_study(
    federation: dict[str, Any] | None = None, names: tuple[str, ...] = NAMES, **changes: Any
) -> Study:
    """Four sites, of whom three are enough and one may collude; no noise unless asked for."""
    keys = keys_of(names)
    members = [
        {"name": name, "node_key": name.encode().hex().ljust(64, "0"), "mask_key": key.public}
        for name, key in keys.items()
    ]
    secure = {"colluding": 1, "patients": PATIENTS, "roster": {"members": members}}
    asked = {"local_steps": 1, "minimum_sites": 3, "secure": secure, "largest_cohort": None}
    training = {
        "expected_batch": 40, "optimizer": "sgd", "learning_rate": 1.0, "warmup_rounds": 0,
        "final_rate_fraction": 1.0,
    }  # fmt: skip
    return study_of({**asked, **(federation or {})}, **{"training": training, **changes})


class MaskedSite:
    """What one site sends. value: of all coordinates of its clipped sum of every round."""

    def __init__(self, study: Study, name: str, value: float = 0.01) -> None:
        self.study, self.name, self.value = study, name, value
        self.key = keys_of(tuple(m.name for m in _roster(study)))[name]
        self.sent: list[tuple[str, int, int, tuple[str, ...]]] = []
        self.kept: dict[tuple[str, int, int], Arrays] = {}

    def node(self) -> Node:
        """In a federation of this process."""
        return Node(self.answer)

    def answer(self, flat: Flat) -> Typed:
        match flat.values["kind"]:
            case "hello":
                return HelloReply(site=self.name, outcome="ready")
            case "train":
                return self.trained(flat)
        return self.evaluated(flat)

    def trained(self, flat: Flat) -> TrainReply:
        """A masked sum of `value` everywhere."""
        model = new_model(self.study, seed=0)
        trained, arrays = set(trained_names(model)), to_arrays(model)
        size = sum(arrays[name].size for name in trained)
        grid = grid_of_training(self.study, size)
        round = int(flat.values["round"])
        return TrainReply(
            **self.about(flat),
            outcome="updated",
            noise_multiplier=noise_among(self.study, "train", len(self.partners(flat))),
            sample_rate=sample_rate(self.study),
            rounds_charged=round,
            arrays=self.masked(flat, "train", np.full(size, self.value), grid),
        )

    def evaluated(self, flat: Flat) -> EvaluateReply:
        """Masked histograms of 40 patients a label, scored well."""
        split, labels = str(flat.values["split"]), len(self.study.labels)
        rising = np.linspace(0.05, 1.95, COARSE_BINS) * 40 / (2 * COARSE_BINS)
        exact = np.broadcast_to(np.stack([rising[::-1], rising]), (labels, 2, COARSE_BINS))
        assert split in ("validation", "test")
        grid = grid_of_evaluation(self.study, split)  # type: ignore[arg-type]
        return EvaluateReply(
            **self.about(flat),
            outcome="evaluated",
            noise_multiplier=noise_among(self.study, split, len(self.partners(flat))),
            arrays=self.masked(flat, split, exact.ravel(), grid),
        )

    def about(self, flat: Flat) -> dict[str, Any]:
        """What every reply says."""
        return {
            "site": self.name,
            "round": int(flat.values["round"]),
            "fingerprint": self.study.fingerprint,
            "attempt": int(flat.values["attempt"]),
        }

    @staticmethod
    def partners(flat: Flat) -> tuple[str, ...]:
        return tuple(str(flat.values["partners"]).split(","))

    def masked(self, flat: Flat, what: str, values: Any, grid: Grid) -> Arrays:
        """The vector of one attempt; asked again it is the same bytes."""
        about = (what, int(flat.values["round"]), int(flat.values["attempt"]))
        if about not in self.kept:
            names = self.partners(flat)
            attempt = Attempt(
                fingerprint=self.study.fingerprint,
                run=str(flat.values["run"]),
                round=about[1],
                what=what,
                attempt=about[2],
                partners=tuple(m for m in _roster(self.study) if m.name in names),
                me=self.name,
            )
            bits = Keystream.reproducible(self.name, about)
            self.sent.append((*about, names))
            self.kept[about] = {"sum": mask(grid.noised(values, bits), self.key, attempt)}
        return self.kept[about]


def masked_sites(study: Study, value: float = 0.01) -> dict[str, MaskedSite]:
    """One of each member of the roster."""
    return {member.name: MaskedSite(study, member.name, value) for member in _roster(study)}


def breaking(site: MaskedSite, when: Callable[[Flat], bool], answer: Any) -> Callable[[Flat], Any]:
    """An answer that is another one `when` a message comes; `answer` takes what it would be."""

    def broken(flat: Flat) -> Any:
        if not when(flat):
            return site.answer(flat)
        return answer(site.answer(flat)) if callable(answer) else answer

    return broken


def _roster(study: Study) -> Any:
    assert study.federation.secure is not None and study.federation.secure.roster is not None
    return study.federation.secure.roster.members

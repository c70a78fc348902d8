"""Sites for tests of the server: what they answer is made up, in the form of real replies.

They say any name, as a node may that runs other code.
"""

import math
from typing import Any

import numpy as np

from irene_model.exchange.protocol import Flat
from irene_model.exchange.protocol import Message as Typed
from irene_model.exchange.replies import LABEL_SENT, EvaluateReply, HelloReply, TrainReply
from irene_model.metrics.coarse_bins import COARSE_BINS
from irene_model.privacy.calibration import evaluation_noise, noise_multiplier_for
from irene_model.study.records import HeldOut
from irene_model.study.study import Study
from irene_model.weights.weights import new_model, trained_names
from tests.helpers.direct_grid import Node
from tests.helpers.hospital_folder import STUDY as DOCUMENT

COHORT = 100.0


def study_of(federation: dict[str, Any] | None = None, **changes: Any) -> Study:
    """Two labels, a tiny model, no noise unless `changes` ask for it."""
    asked = {"rounds": 3, "local_steps": 2, "minimum_sites": 2, "largest_cohort": 2000.0}
    model = {
        "hidden_size": 16, "num_hidden_layers": 2, "num_bidirectional_layers": 1,
        "num_attention_heads": 2, "intermediate_size": 16,
    }  # fmt: skip
    return Study.model_validate(
        {
            **DOCUMENT,
            "model": model,
            "privacy": {"noise_multiplier": 0.0},
            "federation": {**asked, **(federation or {})},
            **changes,
        }
    )


STUDY = study_of()


def made_up_reply(study: Study, site: str, round: int, value: float = 1e-4) -> TrainReply:
    """An update of all parameters by `value`, of a site that has all modalities and labels."""
    model = new_model(study, seed=0)
    names = trained_names(model)
    rate = study.training.expected_batch / COHORT
    noise = study.privacy.noise_multiplier
    if noise is None:
        noise = noise_multiplier_for(
            study.privacy.epsilon or 0.0,
            delta=study.privacy.delta,
            sample_rate=rate,
            steps=study.total_steps,
        )
    return TrainReply(
        site="x",
        round=round,
        fingerprint=study.fingerprint,
        outcome="updated",
        weight=COHORT,
        sample_rate=rate,
        noise_multiplier=noise,
        rounds_charged=round,
        modalities="image,text,labs,age,sex",
        labels="1" * len(study.labels),
        arrays={
            name: np.full(tuple(p.shape), value, np.float32)
            for name, p in model.named_parameters()
            if name in names
        },
    ).model_copy(update={"site": site})


def made_up_evaluation(
    study: Study, site: str, round: int, split: HeldOut, patients: float = 40.0
) -> EvaluateReply:
    """Noised histograms of so many patients a label, scored well, as the study asks for them."""
    noise = evaluation_noise(study, split)
    deviation = noise * math.sqrt(len(study.labels))
    rising = np.linspace(0.05, 1.95, COARSE_BINS) * patients / (2 * COARSE_BINS)
    shape = (len(study.labels), 2, COARSE_BINS)
    exact = np.broadcast_to(np.stack([rising[::-1], rising]), shape)
    rng = np.random.default_rng([round, *site.encode()])
    return EvaluateReply(
        site=site,
        round=round,
        fingerprint=study.fingerprint,
        outcome="evaluated",
        noise_multiplier=noise,
        deviation=deviation,
        epsilon_run=1.0,
        epsilon_total=1.0,
        arrays={
            "histograms": (exact + deviation * rng.standard_normal(shape)).astype(np.float32),
            "labels": np.full(len(study.labels), LABEL_SENT, np.int8),
        },
    )


def made_up_site(study: Study, site: str, value: float = 1e-4, *, evaluates: bool = False) -> Node:
    """A node whose site is ready, updates every parameter by `value`, and sends no metrics.

    evaluates: it sends noised ones.
    """

    def answer(flat: Flat) -> Typed:
        round = int(flat.values.get("round", 0))
        match flat.values["kind"]:
            case "hello":
                return HelloReply(site="x", outcome="ready").model_copy(update={"site": site})
            case "train":
                return made_up_reply(study, site, round, value)
        if evaluates:
            split = "test" if flat.values["split"] == "test" else "validation"
            return made_up_evaluation(study, site, round, split)
        return _no_metrics(study, site, round)

    return Node(answer)


def _no_metrics(study: Study, site: str, round: int) -> Typed:
    return EvaluateReply(
        site="x",
        round=round,
        fingerprint=study.fingerprint,
        outcome="declined",
        reason="metrics are turned off at this site",
    ).model_copy(update={"site": site})

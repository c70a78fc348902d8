"""What a run could learn under its noise, from what its rounds' lines say of the sites. Pure."""

import math
from collections.abc import Sequence

from irene_model.console import known
from irene_model.privacy import Share, doubt, signal_to_noise
from irene_model.study import Study
from irene_model.weights import footprint
from server.runs import JsonMapping
from server.secure import TRAIN, planned_share


def hope_of(study: Study, rounds: Sequence[JsonMapping]) -> str | None:
    """A doubt, by the sites of the first round with updates; None without noise or without one."""
    if study.federation.secure is not None:
        return _of_sums(study, rounds)
    for line in rounds:
        shares = [
            share for entry in line["sites"].values() if (share := _share(study, entry)) is not None
        ]
        if shares:
            steps, parameters = study.total_steps, footprint(study).trained
            return doubt(signal_to_noise(shares, steps=steps, parameters=parameters))
    return None


def _of_sums(study: Study, rounds: Sequence[JsonMapping]) -> str | None:
    """The same by the first sum: one noise, that of all who are in it."""
    for line in rounds:
        for attempt in line.get("secure") or ():
            if attempt["outcome"] == "summed":
                noise = planned_share(study, TRAIN) * math.sqrt(len(attempt["partners"]))
                batch: float = study.training.expected_batch
                whole = Share(weight=1.0, noise_multiplier=noise, expected_batch=batch)
                steps, parameters = study.total_steps, footprint(study).trained
                return doubt(signal_to_noise([whole], steps=steps, parameters=parameters))
    return None


def _share(study: Study, entry: JsonMapping) -> Share | None:
    """The site's part in a step; None of one that sent no update."""
    weight, noise, rate = (
        known(entry.get(name)) for name in ("weight", "noise_multiplier", "sample_rate")
    )
    if not weight or noise is None or rate is None:
        return None
    batch: float = study.training.expected_batch
    # Everyone is in each step where there are fewer patients than a batch; the weight is their
    # declared number.
    expected = batch if rate < 1 else min(batch, weight)
    return Share(weight=weight, noise_multiplier=noise, expected_batch=expected)

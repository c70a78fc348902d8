"""What a study can teach a model with a site's patients: a warning before anybody joins."""

import math

from irene_model.privacy import Mechanism, Share, doubt, noise_of, signal_to_noise
from irene_model.study import Study
from irene_model.weights import footprint


def hope(study: Study, mechanism: Mechanism, declared: int) -> str | None:
    """A doubt about `study` with as many sites like this one as it needs; None without one.

    From public numbers alone: the study, one round's `mechanism` and the site's declared size. How
    many other sites will come, and of which size, nobody knows here. Under secure sums the size
    does not matter: the study names the patients of all sites, and the noise is that of as few
    sites as may be.
    """
    if not declared:
        return None
    sites = study.federation.needed_sites
    if study.federation.secure is None:
        shares = [_share(mechanism.noise_multiplier, mechanism.sample_rate * declared)] * sites
        like = "this site alone" if sites == 1 else f"{sites} sites of this size"
    else:
        own = noise_of(
            study, mechanism.noise_multiplier, sample_rate=mechanism.sample_rate, steps=1
        ).share
        shares = [_share(own * math.sqrt(sites), study.training.expected_batch)]
        like = f"sums of {sites} sites"
    said = doubt(
        signal_to_noise(shares, steps=study.total_steps, parameters=footprint(study).trained)
    )
    return None if said is None else f"with {like} {said}"


def _share(noise_multiplier: float, expected_batch: float) -> Share:
    return Share(weight=1.0, noise_multiplier=noise_multiplier, expected_batch=expected_batch)

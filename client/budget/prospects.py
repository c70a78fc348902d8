"""What a study can teach a model with a site's patients: a warning before anybody joins."""

from irene_model.privacy import Mechanism, Share, doubt, signal_to_noise
from irene_model.study import Study
from irene_model.weights import footprint


def hope(study: Study, mechanism: Mechanism, declared: int) -> str | None:
    """A doubt about `study` with as many sites like this one as it needs; None without one.

    From public numbers alone: the study, one round's `mechanism` and the site's declared size. How
    many other sites will come, and of which size, nobody knows here.
    """
    if not declared:
        return None
    sites = study.federation.needed_sites
    share = Share(
        weight=1.0,
        noise_multiplier=mechanism.noise_multiplier,
        expected_batch=mechanism.sample_rate * declared,
    )
    said = doubt(
        signal_to_noise(
            [share] * sites, steps=study.total_steps, parameters=footprint(study).trained
        )
    )
    like = "this site alone" if sites == 1 else f"{sites} sites of this size"
    return None if said is None else f"with {like} {said}"

"""What each site adds of a study's noise, over the sensitivity: the same at all sites (pure)."""

from irene_model.errors import ProtocolError
from irene_model.privacy import evaluation_noise, noise_multiplier_for, share_of
from irene_model.study import HeldOut, Secure, Study


def secure_of(study: Study) -> Secure:
    """What the study says of secure sums; ProtocolError where it has none."""
    if study.federation.secure is None:
        raise ProtocolError("the study has no secure sums")
    return study.federation.secure


def sample_rate(study: Study) -> float:
    """With what chance any patient of any site takes part in a step."""
    return study.training.expected_batch / secure_of(study).patients


def share_of_training(study: Study) -> float:
    """Each site's noise in a step over the clip norm, so that those of `minimum_sites` less the
    colluding ones have the study's noise together; 0 without noise.

    ProtocolError for an epsilon that no noise reaches.
    """
    noise, privacy = study.privacy.noise_multiplier, study.privacy
    if noise is None:
        assert privacy.epsilon is not None  # Privacy demands one of the two
        try:
            noise = noise_multiplier_for(
                privacy.epsilon,
                delta=privacy.delta,
                sample_rate=sample_rate(study),
                steps=study.total_steps,
            )
        except ValueError as error:
            raise ProtocolError(f"the study's {error}") from None
    return _shared(noise, study)


def share_of_evaluation(study: Study, split: HeldOut) -> float:
    """The same for an evaluation, over what one patient moves its histograms by."""
    return _shared(evaluation_noise(study, split), study)


def _shared(noise: float, study: Study) -> float:
    return share_of(
        noise, sites=study.federation.minimum_sites, colluding=secure_of(study).colluding
    )

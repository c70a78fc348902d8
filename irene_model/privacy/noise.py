"""What noise a release has: of all sites that don't collude, or of one site alone. Pure.

Without secure sums a site hides its patients by itself, and both are the same. Under secure sums
each site adds such a share that those of `minimum_sites` without the colluding ones reach what the
study plans. With more sites there is more noise, and a release is charged as what it was.
"""

from dataclasses import dataclass, replace

from irene_model.errors import ProtocolError
from irene_model.privacy.accountants import Mechanism
from irene_model.privacy.shared_noise import joint_noise, share_of
from irene_model.study import MOST_SECURE_SITES, Study


@dataclass(frozen=True, kw_only=True)
class Noise:
    """mechanism: what is charged against the coordinator with the study's colluding sites. share:
    what this site itself adds, over the clip norm.
    """

    mechanism: Mechanism
    share: float

    @property
    def alone(self) -> Mechanism:
        """What is charged if everybody else colludes: only the site's own noise is left."""
        return replace(self.mechanism, noise_multiplier=self.share)

    def over(self, steps: int) -> "Noise":
        """The same noise in so many steps."""
        return Noise(mechanism=replace(self.mechanism, steps=steps), share=self.share)

    @property
    def private(self) -> bool:
        """Whether there is any."""
        return self.mechanism.noise_multiplier > 0


def noise_of(
    study: Study, planned: float, *, sample_rate: float, steps: int, sites: int | None = None
) -> Noise:
    """The noise of `steps` releases for which `study` plans a noise multiplier of `planned`.

    sites: how many are in it under secure sums, this one among them; None: as few as may be.
    Raises ProtocolError for a number that the study does not allow.
    """
    whole = Mechanism(noise_multiplier=planned, sample_rate=sample_rate, steps=steps)
    secure, least = study.federation.secure, study.federation.minimum_sites
    if secure is None:
        if sites is not None:
            raise ProtocolError("the study has no secure sums, and partners belong to these")
        return Noise(mechanism=whole, share=planned)
    most = len(secure.roster.members) if secure.roster else MOST_SECURE_SITES
    if sites is not None and not least <= sites <= most:
        raise ProtocolError(
            f"{sites} sites can't be in a secure sum of this study: it takes {least} to {most}"
        )
    share = share_of(planned, sites=least, colluding=secure.colluding)
    if sites is not None and sites > least:
        joint = joint_noise(share, sites=sites, colluding=secure.colluding)
        whole = replace(whole, noise_multiplier=joint)
    return Noise(mechanism=whole, share=share)

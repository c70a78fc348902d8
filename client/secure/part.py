"""This site's part in one attempt: the question judged, and what hides the answer."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from client.secure.membership import Membership
from irene_model.errors import ProtocolError
from irene_model.exchange import EvaluateRequest, TrainRequest
from irene_model.secure import Attempt, Grid, Keystream, MaskKey, mask


@dataclass(frozen=True, kw_only=True)
class Part:
    """key: by which masks are agreed on; None leaves them out, in a simulation whose sum is the
    same without. seed: of a simulation's noise; None takes it from the operating system.
    """

    attempt: Attempt
    key: MaskKey | None
    seed: int | None = None

    @property
    def number(self) -> int:
        """Of the attempt, from 1."""
        return self.attempt.attempt

    @property
    def sites(self) -> int:
        """How many sites are in the attempt."""
        return len(self.attempt.partners)

    @property
    def partners(self) -> str:
        """Their names, as the message has them and the ledger keeps them."""
        return ",".join(member.name for member in self.attempt.partners)

    def hidden(
        self, vector: npt.NDArray[np.floating], grid: Grid
    ) -> dict[str, npt.NDArray[np.uint32]]:
        """What leaves: "sum", (D,) uint32, of `vector` (D,) on the grid, noised and masked.

        What lies beyond the grid's bound is set to it: that moves no two vectors further apart, and
        to refuse instead would tell which patients were drawn. ConfigError for what is no number.
        """
        noised = grid.noised(np.clip(vector, -grid.bound, grid.bound), self._bits())
        if self.key is None:
            return {"sum": noised.astype(np.uint32)}  # modulo 2^32
        return {"sum": mask(noised, self.key, self.attempt)}

    def _bits(self) -> Keystream:
        if self.seed is None:
            return Keystream.of_the_operating_system()
        asked = self.attempt
        return Keystream.reproducible(
            "sum", self.seed, asked.me, asked.what, asked.round, asked.attempt
        )


def judged(
    request: TrainRequest | EvaluateRequest,
    membership: Membership | None,
    *,
    seed: int | None = None,
    masked: bool = True,
) -> Part | None:
    """The part that `request` asks of this site; None without secure sums (`membership` None).

    Raises ProtocolError, before anything is read or charged, for partners that are out of order or
    doubled, that the roster does not have, that lack this site or are too few, and for an attempt
    where the study has no secure sums. masked: False in simulations alone, which have a seed.
    """
    if membership is None:
        if request.attempt or request.partners:
            raise ProtocolError("the message is of a secure sum, and the study has none")
        return None
    if request.attempt < 1:
        raise ProtocolError(
            "the study has secure sums, and the message names no attempt; this site sends no "
            "update that is not hidden in a sum"
        )
    names = request.names
    if len(names) < membership.minimum:
        raise ProtocolError(
            f"the message names {len(names)} sites, and a sum of this study has at least "
            f"{membership.minimum} (federation.minimum_sites)"
        )
    try:
        partners = membership.roster.among(names)
    except KeyError as error:
        raise ProtocolError(
            f"the message names the site {error.args[0]}, which the study's roster does not have"
        ) from None
    if [member.name for member in partners] != list(names):
        raise ProtocolError("the sites of a secure sum must be in the order of their names")
    attempt = Attempt(
        fingerprint=request.fingerprint,
        run=request.run,
        round=request.round,
        what=request.split if isinstance(request, EvaluateRequest) else "train",
        attempt=request.attempt,
        partners=partners,
        me=membership.name,
    )
    if not masked and seed is None:
        raise ValueError("a real site never leaves out its masks")
    return Part(attempt=attempt, key=membership.key if masked else None, seed=seed)

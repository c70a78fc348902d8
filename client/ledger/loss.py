"""What was charged for a ledger that was lost, when its people accepted that. Pure.

What a lost ledger held is known only as far as its budget bounded it: all of it together was
(epsilon, delta)-private with the budget's epsilon and delta. So the loss is charged as that pair,
and is composed with all that comes later by adding both (Dwork and Roth 2014, Thm. 3.16 and B.1):
accountants know nothing of it. The epsilon of a patient is the loss's plus that of the ledger's own
charges at the budget's delta, and the delta is the sum of both.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from irene_model.privacy import Epsilons


@dataclass(frozen=True, kw_only=True)
class Loss:
    """One accepted loss, all earlier ones included; the defaults are none.

    number: counts the losses of this site. epsilon is infinite where no budget had bounded it.
    alone: epsilon if everybody else colludes. runs: run -> its rounds that were charged, as far as
    journal and coordinator know.
    """

    number: int = 0
    epsilon: float = 0.0
    alone: float = 0.0
    delta: float = 0.0
    runs: Mapping[str, int] = field(default_factory=dict)

    @property
    def if_all_collude(self) -> "Loss":
        """The same loss against all others together."""
        return replace(self, epsilon=self.alone)

    def __bool__(self) -> bool:
        return self.number > 0

    @classmethod
    def from_content(cls, content: Mapping[str, object]) -> "Loss":
        """The inverse of `content`; ValueError where it is none."""
        match content:
            case {"number": int(number), "epsilon": epsilon, "delta": float(delta), "runs": runs}:
                if not isinstance(runs, dict):
                    raise ValueError
                alone = _bound(content.get("alone", epsilon))
                return cls(
                    number=number, epsilon=_bound(epsilon), alone=alone, delta=delta, runs=runs
                )
        raise ValueError

    def content(self) -> dict[str, object]:
        """What its entry in the ledger holds; JSON knows no infinity."""
        epsilon, alone = (e if math.isfinite(e) else None for e in (self.epsilon, self.alone))
        return {
            "number": self.number,
            "epsilon": epsilon,
            "delta": self.delta,
            "runs": dict(self.runs),
            **({} if alone == epsilon else {"alone": alone}),
        }

    def of_run(self, run: str) -> float:
        """Epsilon that one run may have spent in the lost ledger."""
        return self.epsilon if self.runs.get(run) else 0.0

    def before(self, later: Epsilons) -> Epsilons:
        """Both bounds of the loss and, after it, of `later`."""
        prv = None if later.prv is None else later.prv + self.epsilon
        return Epsilons(rdp=later.rdp + self.epsilon, prv=prv)


def _bound(told: object) -> float:
    if told is None:
        return math.inf
    if not isinstance(told, int | float):
        raise ValueError
    return told

"""A model that stays with a process between two trainings, for weights that are loaded into it.

To build a small model takes longer than to load its weights, and a process trains for one site
after the other.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from irene_model.network import DiagnosticModel
from irene_model.study import Study
from irene_model.weights.weights import new_model

_waiting: dict[str, DiagnosticModel] = {}
"""Of this process: by the study's fingerprint, and one at most."""


@contextmanager
def lent_model(study: Study, *, again: bool) -> Iterator[DiagnosticModel]:
    """A model of `study` on the CPU, whose weights are anybody's: load others before it is used.

    It is frozen where the study does not train it, as a new one. again: lend it once more
    afterwards, which suits whoever changes nothing of it but weights, gradients and what is frozen.
    After an error it is not lent again.
    """
    model = _waiting.pop(study.fingerprint, None) if again else None
    if model is None:
        model = new_model(study, seed=0)
    trained = [parameter.requires_grad for parameter in model.parameters()]
    yield model
    if again:
        for parameter, was in zip(model.parameters(), trained, strict=True):
            parameter.requires_grad_(was)
            parameter.grad = None
        _waiting.clear()
        _waiting[study.fingerprint] = model

"""What a site allows a study to ask for, whatever the server sends. Pure.

The budget bounds what all studies together cost; limits bound one study. They are judged in two
steps: what the study says by itself before a file is opened, and what only the site can compute,
its own noise and epsilon, once the number of its patients is known.
"""

from typing import Annotated, Literal

from pydantic import Field

from irene_model.errors import LimitExceeded
from irene_model.study import Method, Settings, Study

_SIZES = (
    "hidden_size",
    "num_hidden_layers",
    "num_bidirectional_layers",
    "num_attention_heads",
    "intermediate_size",
)
Fingerprint = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Limits(Settings):
    """Bounds on one study; all that are given must hold.

    What is left out is not bounded, but for `most_parameters` and `most_tokens` (of one record):
    they bound what a model takes of the machine.

    `largest_epsilon` is for all that a run may charge to one patient, by its training or by the
    evaluations of held-out patients, at the delta of the site's budget, whatever delta the study
    names; `largest_epsilon_alone` is the same if everybody else colludes, which bounds secure sums.
    `smallest_noise_multiplier` is that of training and of each noised evaluation, and under secure
    sums that of all sites together which don't collude.
    `presets` allows the named ones with their own sizes; a study that replaces single sizes is
    none of them. `labels` are those that may be learnt: a study with any other is declined.
    `studies` are fingerprints, as `irene-client check --json` shows them.
    """

    smallest_noise_multiplier: float | None = Field(default=None, gt=0)
    largest_epsilon: float | None = Field(default=None, gt=0)
    largest_epsilon_alone: float | None = Field(default=None, gt=0)
    largest_clip_norm: float | None = Field(default=None, gt=0)
    most_rounds: int | None = Field(default=None, ge=1)
    most_local_steps: int | None = Field(default=None, ge=1)
    methods: tuple[Method, ...] | None = Field(default=None, min_length=1)
    presets: tuple[Literal["tiny", "small", "base"], ...] | None = Field(default=None, min_length=1)
    most_parameters: int = Field(default=500_000_000, ge=1)
    most_tokens: int = Field(default=10_000, ge=1)
    labels: tuple[str, ...] | None = Field(default=None, min_length=1)
    studies: tuple[Fingerprint, ...] | None = Field(default=None, min_length=1)


def check_study(limits: Limits, study: Study) -> None:
    """Raise LimitExceeded where `study` itself asks for what `limits` do not allow.

    A model is counted, first from below by its sizes alone, and is not built for it.
    """
    from irene_model.weights import footprint, least_parameters, tokens

    for field, asked, name in (
        ("privacy.clip_norm", study.privacy.clip_norm, "largest_clip_norm"),
        ("federation.rounds", study.federation.rounds, "most_rounds"),
        ("federation.local_steps", study.federation.local_steps, "most_local_steps"),
    ):
        most = getattr(limits, name)
        if most is not None and asked > most:
            raise _beyond(f"{field} {asked:g}", f"at most {most:g}", name)
    for field, asked_names, name in (
        ("model.method", [study.model.method], "methods"),
        ("model", [study.model.preset, *_replaced_sizes(study)], "presets"),
        ("the label", study.labels, "labels"),
        ("the fingerprint", [study.fingerprint], "studies"),
    ):
        allowed = getattr(limits, name)
        others = [] if allowed is None else [each for each in asked_names if each not in allowed]
        if others:
            raise _beyond(f"{field} {others[0]}", f"only {', '.join(allowed)}", name)
    _check_size("tokens", tokens(study), limits)
    _check_size("parameters", least_parameters(study), limits, surely="at least ")
    _check_size("parameters", footprint(study).parameters, limits)


def check_noise(
    limits: Limits,
    *,
    noise_multiplier: float,
    epsilon: float,
    alone: float | None = None,
    of: str = "",
) -> None:
    """Raise LimitExceeded where the site's own noise, or a whole run's epsilon, is not allowed.

    alone: the epsilon if everybody else colludes, where it is another. of: of whose patients, where
    it is not training's, as " of test patients".
    """
    least = limits.smallest_noise_multiplier
    if least is not None and noise_multiplier < least:
        raise _beyond(
            f"a noise multiplier{of} of {noise_multiplier:.4g}",
            f"at least {least:g}",
            "smallest_noise_multiplier",
        )
    check_epsilon(limits, epsilon=epsilon, alone=alone, of=of)


def check_epsilon(
    limits: Limits, *, epsilon: float, alone: float | None = None, of: str = ""
) -> None:
    """Raise LimitExceeded where a whole run's epsilon is not allowed; see `check_noise`."""
    for spent, name, whom in (
        (epsilon, "largest_epsilon", ""),
        (epsilon if alone is None else alone, "largest_epsilon_alone", " if all others collude"),
    ):
        most: float | None = getattr(limits, name)
        if most is not None and spent > most:
            raise _beyond(f"an epsilon{of}{whom} of {spent:.4g}", f"at most {most:g}", name)


def _check_size(what: str, count: int, limits: Limits, *, surely: str = "") -> None:
    most = getattr(limits, f"most_{what}")
    if count > most:
        raise _beyond(f"a model of {surely}{count} {what}", f"at most {most}", f"most_{what}")


def _replaced_sizes(study: Study) -> list[str]:
    return [f"with its own {name}" for name in _SIZES if getattr(study.model, name) is not None]


def _beyond(asked: str, allowed: str, limit: str) -> LimitExceeded:
    return LimitExceeded(
        f"the study asks for {asked}; this site allows {allowed} (limits.{limit} in site.yaml)"
    )

"""Secure sums among made-up hospitals: mask keys, a roster, a second budget, a number of patients.

Nobody compares the keys by telephone here, and they follow from the seed like all else.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from irene_model.journal import private_folder, write_private
from irene_model.privacy import Mechanism, epsilons
from irene_model.secure import MaskKey, sample_rate, share_of_evaluation, share_of_training
from irene_model.study import HELD_OUT, Member, Roster, Study, parse

HELD_OUT_SHARES = {"validation": 0.1, "test": 0.25}
"""Of every synthetic hospital's patients."""
_ROOM = 2  # of a budget: as many attempts may come to nothing as lead to a sum


def mask_key(name: str, seed: int) -> MaskKey:
    """The key of a made-up hospital."""
    return MaskKey.from_bytes(hashlib.sha256(f"made-up mask key {seed} {name}".encode()).digest())


def write_mask_keys(study: Study, sites: Sequence[Path], seed: int) -> None:
    """Put each made-up hospital's key where its site.yaml, in a folder of its name, looks for it.

    Nothing without secure sums. These keys are no secret: a real federation makes its own.
    """
    for path in sites if study.federation.secure is not None else ():
        folder = private_folder(path.parent / ".irene")
        key = mask_key(path.parent.name, seed)
        write_private(folder / "mask.key", key.to_bytes(), durable=False)


def with_members(study: Study, keys: Mapping[str, MaskKey]) -> Study:
    """The study with these sites as its roster; as it is without secure sums.

    keys: site -> its mask key. ConfigError where they are fewer than the study's minimum.
    """
    federation = study.federation
    if federation.secure is None:
        return study
    members = [
        Member(
            name=name,
            node_key=hashlib.sha256(f"made-up node key {name}".encode()).hexdigest(),
            mask_key=key.public,
        )
        for name, key in keys.items()
    ]
    secure = federation.secure.model_copy(update={"roster": Roster(members=tuple(members))})
    document = study.model_dump(mode="json")
    document["federation"]["secure"] = secure.model_dump(mode="json")
    return parse(Study, document, "the sites of the scenario")


def alone(study: Study) -> float | None:
    """A budget for what the study costs a patient if everybody else colludes; None without sums."""
    if study.federation.secure is None:
        return None
    runs = [(share_of_training(study), sample_rate(study), study.total_steps)]
    runs += [(share_of_evaluation(study, s), 1.0, study.evaluations(s)) for s in HELD_OUT]
    spent = [
        epsilons(
            [Mechanism(noise_multiplier=noise, sample_rate=rate, steps=_ROOM * steps)],
            delta=study.privacy.delta,
        ).smallest
        for noise, rate, steps in runs
        if noise
    ]
    return max(spent, default=None)


def without_sums(study: Study, sites: int) -> Study:
    """The same study where each of so many sites hides alone, or all are at one place.

    Under secure sums the expected batch is that of all sites together, and else that of each.
    """
    if study.federation.secure is None:
        return study
    federation = study.federation.model_copy(update={"secure": None})
    batch = max(1, round(study.training.expected_batch / sites))
    training = study.training.model_copy(update={"expected_batch": batch})
    return study.model_copy(update={"federation": federation, "training": training})


def filled(document: dict[str, Any]) -> dict[str, Any]:
    """A scenario's document; `federation.secure: true`, or a mapping without `patients`, counts
    the cohort's training patients."""
    study, cohort = document.get("study"), document.get("cohort")
    federation = study.get("federation") if isinstance(study, dict) else None
    secure = federation.get("secure") if isinstance(federation, dict) else None
    count = cohort.get("patients") if isinstance(cohort, dict) else None
    if secure is True:
        secure = {}
    if not isinstance(secure, dict) or "patients" in secure or not isinstance(count, int):
        return document
    trained = round(count * (1 - sum(HELD_OUT_SHARES.values())))
    federation = {**federation, "secure": {**secure, "patients": max(1, trained)}}  # type: ignore[dict-item]
    return {**document, "study": {**study, "federation": federation}}  # type: ignore[dict-item]

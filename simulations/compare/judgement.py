"""How trained weights are judged: on the test patients of all sites, by the same code for all arms.

Exact and without privacy: nothing of it leaves the machine that holds all the patients.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from client.records import SiteDataset
from client.training import score_tests
from irene_model import inputs
from irene_model.exchange import LABEL_SENT, Array, Arrays
from irene_model.metrics import exact_aurocs, resampled
from irene_model.study import Study
from server.evaluation import SiteHistograms, pool
from simulations.compare.arms import Member
from simulations.evidence import ScoredCohort, evidence_of

Json = dict[str, Any]


def judge(
    weights: Arrays, members: Sequence[Member], study: Study, *, entropy: Sequence[int]
) -> Json:
    """The entries of result.json about all sites' test patients, each modality taken away too.

    `entropy` seeds the bootstrap of each label's interval.
    """
    datasets = [member.dataset for member in members]
    names = [member.site.site for member in members]
    sent = np.full(len(study.labels), LABEL_SENT)
    tested = [score_tests(weights, member.site, member.dataset) for member in members]
    sites = [SiteHistograms(histograms=histograms, labels=sent) for histograms, _ in tested]
    scored = {name: each for name, (_, each) in zip(names, tested, strict=True)}
    evaluation = pool(
        dict(zip(names, sites, strict=True)),
        study.labels,
        np.random.default_rng(list(entropy)),
        prior=study.model.prior,
    )
    present = [
        name
        for name, (key, part) in inputs.masks(study).items()
        if any(bool(d.tensors[key][..., part].any()) for d in datasets)
    ]
    lacking = {
        modality: exact_aurocs(
            {
                member.site.site: score_tests(
                    weights, member.site, without(member.dataset, modality)
                )[1]
                for member in members
            }
        )["macro"]
        for modality in present
    }
    return {
        **_exact(evaluation.as_dict(), exact_aurocs(scored)),
        "without": {modality: {"auroc": value} for modality, value in lacking.items()},
        "draws": resampled(scored),
        "evidence": evidence_of(
            ScoredCohort.of(scored, *_people(members)),
            study.evaluation.specificities,
        ),
        "patients": {
            member.site.site: {split: len(rows) for split, rows in member.dataset.patients.items()}
            for member in members
        },
    }


def _exact(told: Json, exact: Json) -> Json:
    """AUROC as the scores have it, where histograms have it to the bin."""
    by_label = zip(told["auroc"]["by_label"].items(), exact["by_label"], strict=True)
    told["auroc"] |= {
        "macro": exact["macro"],
        "by_label": {label: entry | {"value": value} for (label, entry), value in by_label},
        "by_site": exact["by_site"],
    }
    return told


def _people(members: Sequence[Member]) -> tuple[dict[str, Array], dict[str, Array]]:
    """Years and sex of each site's test records, in the order of their scores; NaN if unknown."""
    years, sexes = {}, {}
    for member in members:
        tensors, patients = member.dataset.tensors, member.dataset.patients["test"]
        rows = np.concatenate(patients) if patients else np.zeros(0, dtype=np.int64)
        known = tensors["demographics_mask"].numpy()[rows]
        age = np.round(tensors["age"].numpy()[rows] * 100, 2)  # not 64.99999
        years[member.site.site] = np.where(known[:, 0], age, np.nan)
        sexes[member.site.site] = np.where(known[:, 1], tensors["sex"].numpy()[rows], np.nan)
    return years, sexes


def without(dataset: SiteDataset, modality: str) -> SiteDataset:
    """The same patients, from whom the modality or panel is taken."""
    return replace(dataset, tensors=inputs.without(dataset.tensors, modality, dataset.study))

"""How trained weights are judged: on the test patients of all sites, by the same code for all arms.

Exact and without privacy: nothing of it leaves the machine that holds all the patients.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from client.devices import pick_device
from client.records import SiteDataset
from client.training import exact_histograms, score_tests
from irene_model import inputs
from irene_model.exchange import LABEL_SENT, Arrays
from irene_model.metrics import macro_auroc, resampled
from irene_model.study import Study
from server.evaluation import SiteHistograms, pool
from simulations.compare.arms import Member

Json = dict[str, Any]


def judge(
    weights: Arrays, members: Sequence[Member], study: Study, *, entropy: Sequence[int]
) -> Json:
    """The entries of result.json about all sites' test patients, each modality taken away too.

    `entropy` seeds the bootstrap of each label's interval.
    """
    datasets = [member.dataset for member in members]
    names = [member.site.site for member in members]
    device = pick_device(members[0].site.device)
    sent = np.full(len(study.labels), LABEL_SENT)
    tested = [score_tests(weights, member.site, member.dataset) for member in members]
    sites = [SiteHistograms(histograms=histograms, labels=sent) for histograms, _ in tested]
    scored = [each for _, each in tested]
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
        m: macro_auroc([exact_histograms(weights, without(d, m), "test", device) for d in datasets])
        for m in present
    }
    return {
        **evaluation.as_dict(),
        "without": {modality: {"auroc": value} for modality, value in lacking.items()},
        "draws": resampled(dict(zip(names, scored, strict=True))),
    }


def without(dataset: SiteDataset, modality: str) -> SiteDataset:
    """The same patients, from whom the modality or panel is taken."""
    return replace(dataset, tensors=inputs.without(dataset.tensors, modality, dataset.study))

"""What a run's first weights reach before anybody trains: the start's merit, not the federation's.

The patients of a simulation are on this machine, so their scores need no noise and cost no budget.
"""

import time

import numpy as np

from client.devices import pick_device
from client.records import open_dataset
from client.site import Site
from client.training import exact_histograms
from irene_model.exchange import LABEL_SENT
from server.evaluation import SiteHistograms, pool
from server.runs import RunFolder


def judge_start(folder: RunFolder) -> None:
    """Judge round 0 of a simulated run on its sites' test patients and note it in run.json."""
    study, began = folder.study, time.monotonic()
    weights = folder.load_checkpoint(0)
    sites = [Site.read((folder.path / path).resolve()) for path in folder.info["site_files"]]
    found = {
        site.site: SiteHistograms(
            histograms=exact_histograms(
                weights, open_dataset(site, study), "test", pick_device(site.device)
            ),
            labels=np.full(len(study.labels), LABEL_SENT),
        )
        for site in sites
    }
    evaluation = pool(
        found, study.labels, np.random.default_rng(folder.info["seed"]), prior=study.model.prior
    )
    folder.update_info(
        start_only={
            "model": study.model.method,
            "rounds": 0,
            "seconds": round(time.monotonic() - began, 1),
            **evaluation.as_dict(),
            "privacy": {},
        }
    )

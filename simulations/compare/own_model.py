"""Each synthetic hospital's own model beside the one that a run's federation made.

The own model is trained on the hospital's patients alone, without privacy, from the federation's
first weights and for as many steps, unless it stops getting better before: without noise a few
steps are enough. The round that is best on its validation patients is kept. Both are judged exactly
on the hospital's own test patients.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from client.records import open_dataset
from client.site import Site
from client.training import score_tests
from irene_model.exchange import Arrays
from irene_model.metrics import Draws, macro_auroc, resampled
from irene_model.study import Study
from server.runs import RunFolder
from simulations.compare.arms import Member, train_at_one_place, without_privacy
from simulations.compare.intervals import Spread, minus, over_patients
from simulations.compare.workers import in_workers
from simulations.hospitals import without_sums

_AT_ONCE = 2
_EVERY, _PATIENCE = 8, 5  # rounds between two looks; looks without a better one, and it ends


@dataclass(frozen=True, kw_only=True)
class OwnModel:
    """AUROC of both models on one hospital's test patients, and what it gains by the federation.

    The gain's interval is over draws of these patients.
    """

    site: str
    own: float | None
    federation: float | None
    gain: Spread

    def as_dict(self) -> dict[str, Any]:
        """For a file."""
        return {
            "own": self.own,
            "federation": self.federation,
            "gain": self.gain.as_dict(),
        }


def own_models(folder: RunFolder, told: Callable[[int, int], None]) -> list[OwnModel]:
    """One for each site of the finished run in `folder`, in its order, two trained at once.

    `told` hears how many of how many are done.
    """
    paths = [(folder.path / path).resolve() for path in folder.info["site_files"]]
    found: dict[Path, OwnModel] = {}
    told(0, len(paths))
    for path, one in in_workers(partial(_own_model, folder), paths, parallel=_AT_ONCE):
        found[path] = one
        told(len(found), len(paths))
    return [found[path] for path in paths]


def _own_model(folder: RunFolder, path: Path) -> OwnModel:
    study = without_sums(folder.study, len(folder.info["site_files"]))
    site = Site.read(path)
    member = Member(site=site, dataset=open_dataset(site, study))
    fitted = train_at_one_place(
        _often_judged(without_privacy(study)),
        [member],
        name=f"local-{site.site}",
        seed=folder.info["seed"],
        going_on=folder.load_checkpoint(0),
        patience=_PATIENCE,
    )
    of_run = folder.load_checkpoint(folder.last_round)
    (own, own_draws), (federation, draws) = (
        _judged(weights, member) for weights in (fitted.weights, of_run)
    )
    gain = None if own is None or federation is None else federation - own
    return OwnModel(
        site=site.site,
        own=own,
        federation=federation,
        gain=over_patients([gain], [minus(draws, own_draws)]),
    )


def _often_judged(study: Study) -> Study:
    """The same training; exact judgements of one's own patients cost no epsilon."""
    federation = study.federation.model_copy(update={"evaluate_every": _EVERY})
    return study.model_copy(update={"federation": federation})


def _judged(weights: Arrays, member: Member) -> tuple[float | None, Draws]:
    """The macro AUROC on the site's test patients, and in draws of them."""
    histograms, scored = score_tests(weights, member.site, member.dataset)
    return macro_auroc([histograms]), resampled({member.site.site: scored})["all"]

"""Each synthetic hospital's own model beside what a run's federation gives it.

The own model is what a hospital would train alone: from fresh weights, on its own patients, without
privacy, in epochs of AdamW, the best one on its validation patients being kept. It has no linear
path, which helps where there is noise and costs AUROC where there is none. Beside it stand the
federation's model, and that model as the hospital would use it: trained on at home, by the same
code at the same rate (`irene-client fine-tune`). All are judged exactly on the hospital's own test
patients.

A federation leaves a core idle while it waits for its largest hospital, and while the server works.
Own models are trained beside it in that time.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from client.fine_tuning import AT_HOME, fitted_alone, fitted_at_home, without_linear_path
from client.records import open_dataset
from client.site import Site
from client.training import score_tests
from irene_model.exchange import Arrays
from irene_model.metrics import Draws, Scored, exact_aurocs, resampled
from irene_model.weights import new_model, to_arrays
from server.report import write_report
from server.runs import RunFolder
from simulations.compare.arms import Member
from simulations.compare.intervals import Spread, minus, over_patients
from simulations.compare.workers import finished, workers
from simulations.hospitals import without_sums

_AT_ONCE = 2
# Of 12 to 20 epochs the best was the 9th to the 12th, at three of the demo's hospitals.
_ALONE = replace(AT_HOME, epochs=12)


@dataclass(frozen=True, kw_only=True)
class OwnModel:
    """AUROC of three models on one hospital's test patients, and what it gains by the federation.

    own_everywhere: of its own model on the test patients of all hospitals, which the federation's
    figure is to be compared with. gain: of the federation's model over its own; gain_at_home: of
    the fine-tuned one over its own. Their intervals are over draws of these patients.
    """

    site: str
    own: float | None
    own_everywhere: float | None
    federation: float | None
    fine_tuned: float | None
    gain: Spread
    gain_at_home: Spread

    def as_dict(self) -> dict[str, Any]:
        """For a file."""
        return {
            "own": self.own,
            "own_everywhere": self.own_everywhere,
            "federation": self.federation,
            "fine_tuned": self.fine_tuned,
            "gain": self.gain.as_dict(),
            "gain_at_home": self.gain_at_home.as_dict(),
        }


Finish = Callable[[Callable[[int, int], None]], list[OwnModel]]


@contextmanager
def own_models(folder: RunFolder) -> Iterator[Finish]:
    """Begin to train a model for each site of the run in `folder`, two at once, beside the run.

    What is given is called when the run is finished: it gives a result for each site, in the run's
    order, and tells how many of how many are done. A GPU's memory is the run's alone: there they
    are trained afterwards.
    """
    paths = [(folder.path / path).resolve() for path in folder.info["site_files"]]
    with workers(_AT_ONCE, idle=True) as pool:

        def begun() -> dict[Any, Path]:
            return {pool.submit(_trained, folder, path): path for path in paths}

        training = {} if torch.cuda.is_available() else begun()

        def finish(told: Callable[[int, int], None]) -> list[OwnModel]:
            told(0, len(paths))
            judging = {
                pool.submit(_compared, folder, paths, path, alone): path
                for path, alone in finished(training or begun())
            }
            found: dict[Path, OwnModel] = {}
            for path, one in finished(judging):
                found[path] = one
                told(len(found), len(paths))
            return [found[path] for path in paths]

        yield finish


def note_own_models(folder: RunFolder, beside: Sequence[OwnModel]) -> None:
    """Put them into the run's results.json and its report."""
    results = json.loads((folder.path / "results.json").read_text(encoding="utf-8"))
    results["own_models"] = {each.site: each.as_dict() for each in beside}
    folder.write_results(results)
    write_report(folder.path)


def _trained(folder: RunFolder, path: Path) -> Arrays:
    member = _member(folder, path, alone=True)
    if folder.info["start"]:
        first = folder.load_checkpoint(0)
    else:
        first = to_arrays(new_model(member.dataset.study, seed=folder.info["seed"]))
    return fitted_alone(first, member.site, member.dataset, _ALONE).best


def _member(folder: RunFolder, path: Path, *, alone: bool = False) -> Member:
    """alone: with the model that the hospital would train alone. A start has the study's path."""
    study = without_sums(folder.study, len(folder.info["site_files"]))
    if alone and not folder.info["start"]:
        study = without_linear_path(study)
    site = Site.read(path)
    return Member(site=site, dataset=open_dataset(site, study))


def _compared(folder: RunFolder, paths: Sequence[Path], path: Path, alone: Arrays) -> OwnModel:
    member, by_itself = _member(folder, path), _member(folder, path, alone=True)
    of_run = folder.load_checkpoint(folder.last_round)
    at_home = fitted_at_home(of_run, member.site, member.dataset).best
    own = _judged(alone, by_itself)
    federation, fine_tuned = (_judged(weights, member) for weights in (of_run, at_home))
    all_sites = [_member(folder, each, alone=True) for each in paths]
    return OwnModel(
        site=member.site.site,
        own=own.auroc,
        own_everywhere=exact_aurocs(_scored(alone, all_sites))["macro"],
        federation=federation.auroc,
        fine_tuned=fine_tuned.auroc,
        gain=federation.less(own),
        gain_at_home=fine_tuned.less(own),
    )


@dataclass(frozen=True, kw_only=True)
class _Judged:
    """The macro AUROC on the site's test patients, and in draws of them."""

    auroc: float | None
    draws: Draws

    def less(self, other: "_Judged") -> Spread:
        """The paired difference."""
        if self.auroc is None or other.auroc is None:
            return over_patients([None], [minus(self.draws, other.draws)])
        return over_patients([self.auroc - other.auroc], [minus(self.draws, other.draws)])


def _judged(weights: Arrays, member: Member) -> _Judged:
    scored = _scored(weights, [member])
    return _Judged(auroc=exact_aurocs(scored)["macro"], draws=resampled(scored)["all"])


def _scored(weights: Arrays, members: Sequence[Member]) -> dict[str, Scored]:
    return {each.site.site: score_tests(weights, each.site, each.dataset)[1] for each in members}

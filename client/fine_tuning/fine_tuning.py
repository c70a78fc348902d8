"""A federation's model, trained on at one hospital: better for its own patients, and theirs alone.

The federation's noise protects patients from whoever sees what leaves. What stays in the house
needs none. So a hospital may go on from the model that all trained, with its own patients and
without noise: it keeps what the others' patients taught and adapts to its own scanner, words and
prevalences (Yu, Bagdasaryan and Shmatikov 2020, "Salvaging federated learning by local
adaptation"). Weights that carry much noise are a poor place to go on from for a hospital with many
patients of its own, so a second model begins anew, and both are taught by the federation's. Its own
weights are among those to choose from, so on validation patients it is never worse.

The folder says of itself that it was trained without privacy, and neither `--start` of a run nor
of a pretraining takes it.
"""

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import torch

from client.devices import pick_device
from client.fine_tuning.epochs import Recipe, train_in_epochs
from client.fine_tuning.gain import Gain, gain_of
from client.fine_tuning.teaching import fresh_weights, taught
from client.fine_tuning.unfinished import Unfinished, begin, finish
from client.private import trained_parameters
from client.records import SiteDataset, open_dataset
from client.site import Site
from client.training import exact_histograms
from irene_model.errors import ConfigError
from irene_model.exchange import Arrays
from irene_model.inputs import IreneProcessor
from irene_model.journal import private_folder
from irene_model.metrics import macro_auroc
from irene_model.study import Study
from irene_model.weights import (
    FineTuned,
    StartingPoint,
    load_arrays,
    new_model,
    to_arrays,
)

Progress = Callable[[int, int, float | None], None]
AT_HOME = Recipe(epochs=6, batch=64, rate=0.003)
ANEW = 10  # epochs of the model that begins anew


def fine_tune(
    site: Site,
    study: Study,
    model_folder: Path,
    out: Path,
    recipe: Recipe = AT_HOME,
    *,
    anew: int = ANEW,
    progress: Progress | None = None,
) -> tuple[FineTuned, Gain]:
    """Go on from the model in `model_folder` and write what is best at `site` into `out`.

    anew: epochs of the second model, which begins from fresh weights; 0: none. The same call goes
    on with what was interrupted, with the same result. `progress` is told each epoch, the number of
    all, and the validation AUROC.

    Raises:
        CheckpointError: no model is there, or it is not one that this study can go on from.
        ConfigError: nobody is there to train on or to choose by, or `out` holds something else.
    """
    site.check_against(study)
    model, origin = StartingPoint(irene=model_folder).model(study, seed=recipe.seed)
    sha256 = origin["irene"]["sha256"]
    facts = {
        **asdict(recipe),
        **{"anew": anew, "study": study.fingerprint, "site": site.site, "model": sha256},
    }
    state = begin(out, facts)
    private_folder(out)  # weights without noise tell of patients
    dataset, start = open_dataset(site, study), to_arrays(model)
    if state is None:
        state = _begun(start, site, dataset)
    if state.validation[0] is None:
        raise ConfigError(
            f"site {site.site}: its validation patients can't choose between two models: no label "
            "has patients on both sides; see `splits` in site.yaml"
        )

    anew = _anew(anew, study)
    epochs = recipe.epochs + anew

    def after(reached: Unfinished) -> None:
        reached.save(out, facts)
        if progress is not None:
            progress(reached.epoch, epochs, reached.validation[reached.epoch])

    state = fitted_at_home(start, site, dataset, recipe, anew=anew, state=state, after=after)
    gain = gain_of(start, state.best, site, dataset)
    told = FineTuned(
        site=site.site,
        study=study.name,
        fingerprint=study.fingerprint,
        model=sha256,
        training_patients=len(dataset.patients["train"]),
        epochs=epochs,
        anew=anew,
        kept_epoch=state.kept_epoch,
        seed=recipe.seed,
        before=gain.before,
        after=gain.after,
    )
    load_arrays(model, state.best)
    model.save_pretrained(out)
    IreneProcessor(study).save_pretrained(out)
    finish(out, told)
    return told, gain


def fitted_at_home(
    start: Arrays,
    site: Site,
    dataset: SiteDataset,
    recipe: Recipe = AT_HOME,
    *,
    anew: int = ANEW,
    state: Unfinished | None = None,
    after: Callable[[Unfinished], None] = lambda _reached: None,
) -> Unfinished:
    """Train what the study trains from `start`, and then anew; `best` of the answer is to be kept.

    `start` teaches both, and is itself among those to choose from, as epoch 0; where validation
    patients can't choose, the last epoch is kept. ConfigError where the site has nobody to train
    on.
    """
    _needs_patients(site, dataset)
    if state is None:
        state = _begun(start, site, dataset)
    lessons = taught(dataset, start, pick_device(site.device))
    if state.epoch < recipe.epochs:
        state = _fitted(site, lessons, recipe, state=state, after=after)
    anew = _anew(anew, dataset.study)
    if not anew:
        return state
    if state.epoch == recipe.epochs:
        fresh = fresh_weights(dataset, start, seed=recipe.seed)
        state = replace(state, weights=fresh, moments={})
    again = replace(recipe, epochs=anew)
    return _fitted(site, lessons, again, state=state, after=after, before=recipe.epochs)


def fitted_alone(start: Arrays, site: Site, dataset: SiteDataset, recipe: Recipe) -> Unfinished:
    """Train from `start` without a teacher, as a hospital would that knows of no federation."""
    return _fitted(site, dataset, recipe, state=_begun(start, site, dataset))


def _fitted(
    site: Site,
    dataset: SiteDataset,
    recipe: Recipe,
    *,
    state: Unfinished,
    after: Callable[[Unfinished], None] = lambda _reached: None,
    before: int = 0,
) -> Unfinished:
    """From the weights of `state`, in whole epochs.

    before: epochs of an earlier training that `state` counts too; then a linear path stays as it
    is. There is no weight decay: it would pull towards zero, and not towards what the federation
    knows.
    """
    _needs_patients(site, dataset)
    model = new_model(dataset.study, seed=recipe.seed)
    load_arrays(model, state.weights)
    if before and dataset.study.model.linear_path:
        model.linear.requires_grad_(False)
    model.to(pick_device(site.device))
    optimizer = torch.optim.AdamW(trained_parameters(model), lr=recipe.rate, weight_decay=0.0)
    state.restore(optimizer)
    return train_in_epochs(
        model,
        optimizer,
        dataset,
        recipe,
        state=state,
        micro_batch=site.memory.usual_micro_batch,
        after=after,
        before=before,
    )


def _anew(epochs: int, study: Study) -> int:
    """Where a study trains a part alone, fresh weights around it would know nothing."""
    return epochs if study.training.parameters.kind == "all" else 0


def _needs_patients(site: Site, dataset: SiteDataset) -> None:
    if not dataset.patients["train"]:
        raise ConfigError(f"site {site.site}: has no train patients; see `splits` in site.yaml")


def _begun(start: Arrays, site: Site, dataset: SiteDataset) -> Unfinished:
    """Epoch 0: the federation's weights, judged."""
    device = pick_device(site.device)
    judged = macro_auroc([exact_histograms(start, dataset, "validation", device)])
    return Unfinished(epoch=0, weights=start, best=start, validation={0: judged})

"""Training at one place, WITHOUT privacy, on folders that are public: a federation's first weights.

In whole epochs, as a hospital fine-tunes at home (`client/fine_tuning/epochs.py`). All of the model
is trained, whatever the study trains later: nothing here costs budget. No ledger is read or
written.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from client.devices import pick_device
from client.fine_tuning import Recipe, Unfinished, begin, finish, train_in_epochs
from client.private import trained_parameters
from client.records import SiteDataset, open_dataset
from client.site import Site
from client.training import exact_histograms
from irene_model.errors import ConfigError
from irene_model.inputs import IreneProcessor
from irene_model.network import DiagnosticModel
from irene_model.study import HeldOut, NamedSubset, Study, one_line
from irene_model.weights import Judged, Provenance, load_arrays, new_model, to_arrays
from simulations.compare import pool_patients, without_privacy

Progress = Callable[[int, int, float | None], None]


def pretrain(
    study: Study,
    files: Sequence[Path],
    out: Path,
    recipe: Recipe,
    *,
    progress: Progress | None = None,
) -> Provenance:
    """Train the study's model on the folders of the site.yaml `files` and write it into `out`.

    The weights kept are those of the epoch with the best mean AUROC on the folders' validation
    patients. The same call goes on with what was interrupted, with the same result. `progress` is
    told each epoch, the number of all, and the AUROC.

    Raises:
        ConfigError: a folder has a budget, nobody is there to train on or to validate with, or
            `out` holds something else.
    """
    public, sites = _all_of(study), [Site.read_public(path) for path in files]
    for site in sites:
        site.check_against(public)
    facts = {
        **asdict(recipe),
        "study": study.fingerprint,
        "files": [str(f.resolve()) for f in files],
    }
    state = begin(out, facts)
    pooled = pool_patients([open_dataset(site, public) for site in sites])
    for split in ("train", "validation"):
        if not pooled.patients[split]:
            raise ConfigError(f"the folders have no {split} patients; see `splits` in site.yaml")
    device, micro_batch = pick_device(sites[0].device), sites[0].memory.usual_micro_batch
    model = new_model(public, seed=recipe.seed)
    optimizer = torch.optim.AdamW(
        trained_parameters(model), lr=recipe.rate, weight_decay=public.training.weight_decay
    )
    model.to(device)
    if state is None:
        state = Unfinished(epoch=0, weights=to_arrays(model), best=to_arrays(model))
    load_arrays(model, state.weights)
    state.restore(optimizer)

    def after(reached: Unfinished) -> None:
        reached.save(out, facts)
        if progress is not None:
            progress(reached.epoch, recipe.epochs, reached.validation[reached.epoch])

    state = train_in_epochs(
        model, optimizer, pooled, recipe, state=state, micro_batch=micro_batch, after=after
    )
    load_arrays(model, state.best)
    told = Provenance(
        name=one_line(out.resolve().name, 100),
        study=study.name,
        fingerprint=study.fingerprint,
        places=len(sites),
        training_patients=len(pooled.patients["train"]),
        training_records=sum(len(rows) for rows in pooled.patients["train"]),
        epochs=recipe.epochs,
        kept_epoch=state.kept_epoch,
        seed=recipe.seed,
        validation=_judged(model, pooled, "validation", device),
        test=_judged(model, pooled, "test", device),
    )
    model.cpu().save_pretrained(out)
    IreneProcessor(public).save_pretrained(out)
    finish(out, told)
    return told


def _all_of(study: Study) -> Study:
    """The same study without privacy, and with all of its model trained."""
    study = without_privacy(study)
    training = study.training.model_copy(update={"parameters": NamedSubset()})
    text = study.text.model_copy(update={"trainable": True})
    return study.model_copy(update={"training": training, "text": text})


def _judged(
    model: DiagnosticModel, dataset: SiteDataset, split: HeldOut, device: torch.device
) -> Judged:
    histograms = exact_histograms(to_arrays(model), dataset, split, device)
    return Judged.of(histograms, dataset.study.labels, patients=len(dataset.patients[split]))

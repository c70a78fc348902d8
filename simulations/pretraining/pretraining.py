"""Training at one place, WITHOUT privacy, on folders that are public: a federation's first weights.

Plain AdamW in whole epochs, the rate warming up over the first twentieth of all steps and falling
to a fiftieth by half a cosine. Every epoch takes one record of each patient, as a federation does.
All of the model is trained, whatever the study trains later: nothing here costs budget. No ledger
is read or written.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from client.devices import pick_device
from client.private import forward_losses, trained_parameters
from client.records import SiteDataset, open_dataset
from client.site import Site
from irene_model import metrics
from irene_model.errors import ConfigError
from irene_model.inputs import IreneProcessor, drop_modalities
from irene_model.network import DiagnosticModel
from irene_model.study import HeldOut, NamedSubset, Study, one_line
from irene_model.weights import Judged, Provenance, load_arrays, new_model, to_arrays
from simulations.compare import exact_histograms, macro_auroc, pool_patients, without_privacy
from simulations.pretraining.unfinished import Unfinished, begin, finish

Progress = Callable[[int, int, float | None], None]
_WARM_UP, _LOWEST = 0.05, 0.02


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How one trains. batch: patients a step. rate: AdamW's largest. Everything random follows
    from `seed`."""

    epochs: int = 20
    batch: int = 128
    rate: float = 0.003
    seed: int = 0

    def rate_at(self, step: int, steps: int) -> float:
        """The learning rate of a step, counted from 0, of all `steps`."""
        warm = max(1.0, _WARM_UP * steps)
        if step < warm:
            return self.rate * (step + 1) / math.ceil(warm)
        done = (step - warm) / max(1.0, steps - warm)
        return self.rate * (_LOWEST + (1 - _LOWEST) * (1 + math.cos(math.pi * done)) / 2)


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
    for epoch in range(state.epoch + 1, recipe.epochs + 1):
        _train(model, optimizer, pooled, recipe, epoch=epoch, micro_batch=micro_batch)
        weights = to_arrays(model)
        auroc = macro_auroc([exact_histograms(weights, pooled, "validation", device)])
        state = state.after(epoch, weights, auroc, optimizer)
        state.save(out, facts)
        if progress is not None:
            progress(epoch, recipe.epochs, auroc)
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


def _train(
    model: DiagnosticModel,
    optimizer: torch.optim.Optimizer,
    dataset: SiteDataset,
    recipe: Recipe,
    *,
    epoch: int,
    micro_batch: int,
) -> None:
    """One epoch; what is random in it follows from the seed and the epoch alone."""
    device = next(model.parameters()).device
    rng = np.random.default_rng([recipe.seed, epoch])
    patients, hidden = dataset.patients["train"], dataset.study.training.modality_dropout.rates
    rows = np.array([rng.choice(patients[i]) for i in rng.permutation(len(patients)).tolist()])
    batches = np.array_split(rows, math.ceil(len(rows) / recipe.batch))
    steps = recipe.epochs * len(batches)
    model.train()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(int(rng.integers(2**63)))  # dropout takes no other generator
        for number, batch in enumerate(batches):
            for group in optimizer.param_groups:
                group["lr"] = recipe.rate_at((epoch - 1) * len(batches) + number, steps)
            optimizer.zero_grad()
            for part in np.array_split(batch, math.ceil(len(batch) / micro_batch)):
                records = drop_modalities(dataset.batch(part), hidden, dataset.study, rng)
                there = {name: tensor.to(device) for name, tensor in records.items()}
                with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
                    losses = forward_losses(model, there)[1]
                torch.autograd.backward(losses.sum() / len(batch))
            optimizer.step()


def _judged(
    model: DiagnosticModel, dataset: SiteDataset, split: HeldOut, device: torch.device
) -> Judged:
    histograms = exact_histograms(to_arrays(model), dataset, split, device)
    values = metrics.aurocs(histograms.astype(np.float64)).tolist()
    by_label: dict[str, Any] = {
        label: None if math.isnan(value) else value
        for label, value in zip(dataset.study.labels, values, strict=True)
    }
    return Judged(
        patients=len(dataset.patients[split]), auroc=macro_auroc([histograms]), by_label=by_label
    )

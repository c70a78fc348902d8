"""What the federation's model teaches a model of the hospital's own.

Half of each label is what the hospital's people say of a record, half what the federation's model
says of it ("knowledge distillation": Hinton, Vinyals and Dean 2015; at home of a federation: Yu,
Bagdasaryan and Shmatikov 2020). So a model that begins anew learns from the others' patients too,
without the noise that the federation's weights carry.
"""

from dataclasses import replace

import numpy as np
import torch

from client.records import SiteDataset
from client.training import probabilities
from irene_model.exchange import Arrays
from irene_model.study import Study
from irene_model.weights import new_model, to_arrays, trained_names

_SHARE = 0.5  # of the teacher; 0.3 and 0.7 differed by 0.003 at most (three hospitals, a seed each)


def taught(dataset: SiteDataset, teacher: Arrays, device: torch.device) -> SiteDataset:
    """`dataset`, whose training patients' labels are half `teacher`'s probabilities.

    Those of all other patients stay, and so does which labels a record has.
    """
    rows = np.concatenate(dataset.patients["train"])
    said = torch.from_numpy(probabilities(teacher, dataset, rows, device))
    labels, places = dataset.tensors["labels"].float().clone(), torch.from_numpy(rows)
    labels[places] = (1 - _SHARE) * labels[places] + _SHARE * said
    # In memory alone: the files in the cache have the labels as they were.
    return replace(dataset, tensors={**dataset.tensors, "labels": labels}, stored=None)


def without_linear_path(study: Study) -> Study:
    """The same study of a model that begins without a linear path."""
    shape = study.model.model_copy(update={"linear_path": False})
    return study.model_copy(update={"model": shape})


def fresh_weights(dataset: SiteDataset, start: Arrays, *, seed: int) -> Arrays:
    """New weights of the study's model; what the study does not train is as in `start`.

    A linear path is there and says nothing: it helps under noise, and costs AUROC without.
    """
    study = dataset.study
    model = new_model(study, seed=seed)
    plain = to_arrays(new_model(without_linear_path(study), seed=seed))
    trained = set(trained_names(model))
    frozen = {name: array for name, array in start.items() if name not in trained}
    return {**to_arrays(model), **plain, **frozen}

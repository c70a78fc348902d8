from .earlier import start_sha256
from .groups import (
    Labels,
    choose_mapped,
    is_head,
    is_trained,
    labels_from_text,
    labels_to_text,
    modalities_of,
    without_rows,
)
from .loans import lent_model
from .model_footprint import footprint, least_parameters, tokens
from .provenance import PROVENANCE, UNFINISHED, FineTuned, Judged, Provenance, Told
from .starting import StartingPoint
from .subsets import choose_trained
from .weights import (
    config_of,
    load_arrays,
    new_model,
    read_model,
    stored_arrays,
    to_arrays,
    trained_names,
)

__all__ = [
    "PROVENANCE",
    "UNFINISHED",
    "FineTuned",
    "Judged",
    "Labels",
    "Provenance",
    "StartingPoint",
    "Told",
    "choose_mapped",
    "choose_trained",
    "config_of",
    "footprint",
    "is_head",
    "is_trained",
    "labels_from_text",
    "labels_to_text",
    "least_parameters",
    "lent_model",
    "load_arrays",
    "modalities_of",
    "new_model",
    "read_model",
    "start_sha256",
    "stored_arrays",
    "to_arrays",
    "tokens",
    "trained_names",
    "without_rows",
]

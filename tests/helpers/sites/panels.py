"""A study with panels, a hospital that has them, and a random batch."""

from typing import Any

import torch

from irene_model.inputs.tensors import Batch
from irene_model.study.study import Study
from tests.helpers.hospital_folder import STUDY

GENES = [f"G{n}" for n in range(7)]
PANELS: list[dict[str, Any]] = [
    {
        "name": "vitals",
        "values": [
            {"name": "heart_rate", "unit": "/min", "low": 60, "high": 100},
            {"name": "temperature", "unit": "degC", "low": 36, "high": 37.5},
        ],
    },
    {"name": "genes", "unit": "1", "low": -2, "high": 2, "per_token": 3, "values": GENES},
]
SIZES = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 24}


def study_with(panels: Any = PANELS, **changes: Any) -> Study:
    return Study.model_validate({**STUDY, "panels": panels, "model": SIZES, **changes})


def batch_of(study: Study, records: int = 6, seed: int = 0) -> Batch:
    g = torch.Generator().manual_seed(seed)
    L, K, T = len(study.labs), len(study.labels), study.text.max_tokens
    P = sum(len(panel.values) for panel in study.panels)

    def some(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=g) < 0.6

    return {
        "pixel_values": torch.randn(records, 1, 16, 16, generator=g),
        "image_mask": some(records),
        "input_ids": torch.randint(0, 400, (records, T), generator=g),
        "text_mask": some(records, T),
        "lab_values": torch.randn(records, L, generator=g),
        "lab_mask": some(records, L),
        "panel_values": torch.randn(records, P, generator=g),
        "panel_mask": some(records, P),
        "age": torch.rand(records, generator=g),
        "sex": some(records).float(),
        "demographics_mask": some(records, 2),
        "labels": some(records, K).float(),
        "label_mask": some(records, K),
    }

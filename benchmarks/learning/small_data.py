"""A small cohort with frozen encoders: 300 made-up patients at eight hospitals, in five folds."""

from pathlib import Path
from typing import Annotated, Any

import torch
import typer
import yaml
from transformers import Dinov2Config, Dinov2Model, ViTImageProcessor

from irene_model.console import new_app, run_app
from irene_model.inputs import sha256_of, sha256_of_image_encoder
from simulations.hospitals import Scenario, write_hospitals

_WIDTH, _SIDE, _PATCH = 64, 64, 16
_SITES, _FOLDS = 8, 5
_STUDY: dict[str, Any] = {
    "training": {"expected_batch": 8, "optimizer": "sgd", "learning_rate": 1.0},
    "federation": {
        **{"rounds": 40, "local_steps": 1, "minimum_sites": 2, "round_deadline_s": 600},
        **{"strategy": "fedadam", "server_learning_rate": 0.003, "evaluate_every": 5},
    },
    "privacy": {"epsilon": 8, "delta": 1e-3},
}
_COMPARE: dict[str, Any] = {
    "arms": ["central"],
    "models": ["linear_probe", "irene", "path", "path-dropout", "path-hidden", "late_mean"],
    "variants": {
        "path": ["model.linear_path=true"],
        "path-dropout": ["model.linear_path=true", "model.hidden_dropout_prob=0.5"],
        "path-hidden": [
            "model.linear_path=true",
            "model.hidden_dropout_prob=0.5",
            "training.modality_dropout.text=0.4",
        ],
    },
}
app = new_app("Hospitals and a scenario for comparing models on a small cohort.")


@app.command(no_args_is_help=True)
def scenario(
    text: Annotated[Path, typer.Argument(help="A BERT-family encoder's folder, as MiniLM's.")],
    out: Annotated[Path, typer.Option(help="The folder to write; new or empty.")],
    like: Annotated[Path, typer.Option(help="The scenario whose labels and panel are taken.")],
) -> None:
    """Write the hospitals, an image encoder of random weights, and scenario.yaml.

    Example: `python -m benchmarks.learning.small_data MINILM --out runs/small
    --like simulations/scenarios/methods.yaml`
    """
    out.mkdir(parents=True)
    film = _random_image_encoder(out / "film")
    document = yaml.safe_load(like.read_text(encoding="utf-8"))
    width = yaml.safe_load((text / "config.json").read_text(encoding="utf-8"))["hidden_size"]
    folders = {"film": str(film.resolve()), "text": str(text.resolve())}
    words = {"kind": "frozen", "name": "text", "sha256": sha256_of(text, "frozen")}
    pixels = {"kind": "frozen", "name": "film", "sha256": sha256_of_image_encoder(film)}
    study = document["study"] | _STUDY
    study["image"] = {"size": _SIDE, "patch": _PATCH, "width": _WIDTH, "encoder": pixels}
    study["text"] = {"max_tokens": 32, "width": width, "encoder": words}
    names = [f"site{number}" for number in range(_SITES)]
    cohort = {"patients": 300, "image_pixels": 96, "sites": [{"name": name} for name in names]}
    common = {"study": study, "encoders": folders}
    drawn = _write(out / "drawn.yaml", {**common, "cohort": cohort})
    write_hospitals(Scenario.read(drawn), out / "hospitals", seed=0)
    join = [f"hospitals/{name}/site.yaml" for name in names]
    _write(out / "scenario.yaml", {**common, "join": join, "folds": _FOLDS, "compare": _COMPARE})


def _random_image_encoder(folder: Path) -> Path:
    """No weights are shipped: what random ones see is little, and the same for all models."""
    torch.manual_seed(0)
    sizes = {"hidden_size": _WIDTH, "num_hidden_layers": 4, "num_attention_heads": 4}
    Dinov2Model(Dinov2Config(**sizes, image_size=_SIDE, patch_size=_PATCH)).save_pretrained(folder)
    ViTImageProcessor(size={"height": _SIDE, "width": _SIDE}).save_pretrained(folder)
    return folder


def _write(path: Path, document: dict[str, Any]) -> Path:
    path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    return path


if __name__ == "__main__":
    run_app(app)

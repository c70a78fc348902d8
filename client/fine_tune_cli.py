"""irene-client's command `fine-tune`: the federation's model, trained on at home."""

from pathlib import Path
from typing import Annotated

import typer


def fine_tune(
    *,
    site_file: Annotated[
        Path, typer.Argument(metavar="SITE.yaml", help="The hospital's description.")
    ],
    study_file: Annotated[
        Path, typer.Option("--study", metavar="STUDY.yaml", help="The contract of all sites.")
    ],
    model: Annotated[
        Path,
        typer.Option(
            metavar="FOLDER", help="The federation's model, as a run's checkpoints/round-0180."
        ),
    ],
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="The model's folder; new, or to go on with.")
    ],
    epochs: Annotated[int, typer.Option(min=1, help="Passes over your patients.")] = 6,
    anew: Annotated[
        int, typer.Option(min=0, help="Passes of a second model, which begins from fresh weights.")
    ] = 10,
    batch: Annotated[int, typer.Option(min=1, help="Patients a step.")] = 64,
    rate: Annotated[float, typer.Option(min=0, help="AdamW's largest learning rate.")] = 0.003,
    seed: Annotated[int, typer.Option(min=0, help="Of all that is random.")] = 0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Write JSON to stdout, for programs.")
    ] = False,
) -> None:
    """Train a federation's model on at home, on your own patients, and say what that gains.

    Nothing is sent, so there is no noise and no budget is spent. One model goes on from the
    federation's weights and a second one begins anew; the federation's model teaches both: half of
    each label is what it says. Keeps the epoch with the best validation AUROC, the federation's
    own weights among them, and compares both on your test patients. The same command goes on after
    an interruption. The model tells of your patients: it must stay in the hospital, and no run
    begins from it.

    Example: `irene-client fine-tune site.yaml --study study.yaml
    --model run/checkpoints/round-0180 --out our-model`
    """
    import json

    from rich.console import Console

    from client.fine_tuning import EpochProgress, Recipe, show_gain
    from client.fine_tuning import fine_tune as train
    from client.site import Site
    from irene_model.study import Study

    recipe = Recipe(epochs=epochs, batch=batch, rate=rate, seed=seed)
    with EpochProgress() as progress:
        told, gain = train(
            Site.read(site_file),
            Study.read(study_file),
            model,
            out,
            recipe,
            anew=anew,
            progress=progress.show,
        )
    if as_json:
        typer.echo(json.dumps({**told.model_dump(mode="json"), **gain.as_json()}, indent=2))
    else:
        show_gain(told, gain, out, Console())

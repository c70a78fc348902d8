"""How large each method is that a study can choose, as a table for the documentation."""

from pathlib import Path
from typing import Annotated, get_args

import typer

from irene_model.console import new_app, run_app
from irene_model.methods import parameter_count
from irene_model.network import PRESETS
from irene_model.study import Method
from irene_model.weights import config_of
from simulations.hospitals import Scenario

_PROBE = "linear_probe"  # as large as its features, and of studies with a frozen encoder alone

app = new_app("Parameters of every method at every preset, frozen ones included.")


@app.command(no_args_is_help=True)
def counts(
    scenario: Annotated[Path, typer.Argument(help="The scenario whose study gives the inputs.")],
) -> None:
    """Print a Markdown table of parameter counts, of IRENE's and of each method over IRENE's.

    Example: `python -m benchmarks.methods simulations/scenarios/demo.yaml`
    """
    typer.echo("| `model.method` | " + " | ".join(PRESETS) + " |")
    typer.echo("| --- |" + " ---: |" * len(PRESETS))
    sizes = {preset: _count(scenario, preset, "irene") for preset in PRESETS}
    typer.echo("| `irene` | " + " | ".join(f"{count:,}" for count in sizes.values()) + " |")
    for method in get_args(Method)[1:]:
        if method == _PROBE:
            continue
        shares = [f"{_count(scenario, p, method) / count:.3f}" for p, count in sizes.items()]
        typer.echo(f"| `{method}` | " + " | ".join(shares) + " |")


def _count(scenario: Path, preset: str, method: str) -> int:
    overrides = [f"model.preset={preset}", f"model.method={method}"]
    return parameter_count(config_of(Scenario.read(scenario, overrides).study))


if __name__ == "__main__":
    run_app(app)

"""A split's two files in a folder: `split.csv` and `split.png`."""

from collections.abc import Sequence
from pathlib import Path

from irene_model.errors import ConfigError
from simulations.splits.census import SiteCensus, read_census, write_census
from simulations.splits.census_plot import draw_census_picture


def write_split(census: Sequence[SiteCensus], out: Path, *, title: str) -> list[Path]:
    """Write both files into `out`, made if need be; returns their paths."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_census(census, out / "split.csv")
    except OSError as error:
        raise ConfigError(f"{out}: can't be written ({type(error).__name__})") from None
    draw_census_picture(census, out / "split.png", title=title)
    return [out / "split.csv", out / "split.png"]


def picture_split(hospitals: Path, out: Path, *, title: str) -> str:
    """Both files in `out`, of the `split.csv` beside written hospitals; returns them in words.

    For the folders of runs and comparisons and the reports in them.
    """
    census = read_census(hospitals / "split.csv")
    write_census(census, out / "split.csv")
    return draw_census_picture(census, out / "split.png", title=title)

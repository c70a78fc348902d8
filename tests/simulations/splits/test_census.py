"""A census as a table and as a picture, and the command that writes both."""

from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from irene_model.errors import ConfigError
from simulations.cli import app
from simulations.splits.census import SiteCensus, read_census, write_census
from simulations.splits.census_plot import draw_census_picture, in_words
from simulations.splits.writing import picture_split
from tests.helpers.small_scenario import write_scenario


def site(name: str = "north", patients: int = 40, **changes: object) -> SiteCensus:
    facts = {
        "records": 55,
        "shared": 0,
        "prevalence": {"pneumonia": 0.125, "copd": None},
        "presence": {"image": 1.0, "text": 0.5},
        "ages": (44.0, 58.0, 70.5),
        "female": 0.5,
        "scanner": {
            "contrast": 1.1,
            "brightness": -0.02,
            "noise": 0.03,
            "blur": 3.0,
            "inverted": 0,
        },
    }
    return SiteCensus(site=name, patients=patients, **(facts | changes))  # type: ignore[arg-type]


def test_a_census_reads_back_as_it_was(tmp_path: Path) -> None:
    census = [site(), site("south", 7, shared=3, presence={"image": 0.0, "text": 1.0})]
    write_census(census, tmp_path / "split.csv")
    assert read_census(tmp_path / "split.csv") == census


@pytest.mark.parametrize("text", ["", "site\n", "a,b\n1,2\n", "site,patients\nnorth,many\n", "\0"])
def test_another_file_is_one_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "split.csv").write_text(text)
    with pytest.raises(ConfigError, match=r"split\.csv: (is no split\.csv|holds no site)"):
        read_census(tmp_path / "split.csv")


def test_its_words_say_what_differs() -> None:
    told = in_words([site(), site("south", 1200, shared=3, presence={"image": 0.0, "text": 1.0})])
    assert told.startswith("2 sites of 40 to 1,200 patients; pneumonia 12 to 12 %")
    assert "image lacking at 1 sites" in told and "text in at least 50 %" in told
    assert "copd" not in told and "seen elsewhere" in told


def test_a_picture_has_its_words_and_a_thousand_sites_fit_a_page(tmp_path: Path) -> None:
    census = [site(f"s{number}", 10 + number) for number in range(1000)]
    told = draw_census_picture(census, tmp_path / "split.png", title="many")
    with Image.open(tmp_path / "split.png") as image:
        assert image.info["Description"] == told
        assert image.height < 2500 and image.width < 2500
    with pytest.raises(ConfigError, match="can't be written"):
        draw_census_picture(census[:1], tmp_path / "no" / "split.png", title="nowhere")


def test_the_command_pictures_what_the_hospitals_then_hold(tmp_path: Path) -> None:
    scenario = str(write_scenario(tmp_path))
    said = CliRunner().invoke(app, ["split", scenario, "--out", str(tmp_path / "p"), "--seed", "2"])
    assert said.exit_code == 0 and "split.png" in said.output
    CliRunner().invoke(app, ["hospitals", scenario, "--out", str(tmp_path / "h"), "--seed", "2"])
    census = read_census(tmp_path / "p" / "split.csv")
    assert census == read_census(tmp_path / "h" / "split.csv")
    assert sum(each.patients for each in census) == 80
    out = tmp_path / "report"
    out.mkdir()
    told = picture_split(tmp_path / "h", out, title="small")
    assert told.startswith("4 sites") and (out / "split.png").stat().st_size > 10_000

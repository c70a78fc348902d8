"""The page of a check: self-contained, for its owner alone, and what is hostile in it is text."""

import json
import re
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from client.check.doubts import doubts_of
from client.check.quality import Survey, survey, with_cost
from client.cli import app
from client.pages.check_page import coded, render_check
from client.pages.strips import HEIGHT, WIDTH, strip
from irene_model.errors import ConfigError
from tests.helpers.hospital_folder import HospitalFolder

HOSTILE = "<img src=x onerror=alert(1)>"


def seen(hospital: HospitalFolder) -> Survey:
    found = survey(hospital.site, hospital.study)
    return replace(found, report=with_cost(found.report, hospital.site, hospital.study))


def check(hospital: HospitalFolder, *more: str) -> Any:
    files = [str(hospital.site_file), "--study", str(hospital.study_file)]
    return CliRunner().invoke(app, ["check", *files, *more])


def test_the_page_is_private_and_holds_no_id_and_no_text(
    hospital: HospitalFolder, tmp_path: Path
) -> None:
    path = tmp_path / "check.html"
    path.write_text("old")
    path.chmod(0o644)
    done = check(hospital, "--html", str(path))
    assert done.exit_code == 0 and "Verdict: ready" in done.stdout
    assert "patients' radiographs" in done.stderr
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    page = path.read_text(encoding="utf-8")
    assert "This page stays at the hospital" in page and "Ready with warnings" in page
    assert page.count('src="data:image/png;base64,') == 17  # all that there are
    assert "Every row" in page and "patients.csv" in page
    assert "<dt>Images that no record names</dt><dd>3</dd>" in page
    shown = re.sub(r"data:image/png;base64,[\w+/=]+", "", page)
    assert "://" not in shown and "<script" not in shown
    rows = hospital.rows()
    for row in rows:
        assert row["patient_id"] not in shown and row["record_id"] not in shown
    assert "cough" not in shown and str(hospital.folder) not in shown


def test_the_sheet_shows_what_the_model_sees(hospital: HospitalFolder) -> None:
    import base64
    import io

    found = seen(hospital)
    page = render_check(found)
    first = re.search(r"data:image/png;base64,([\w+/=]+)", page)
    assert first is not None
    with Image.open(io.BytesIO(base64.b64decode(first[1]))) as image:
        assert (np.asarray(image) == found.sheet[0][1]).all()
    assert [split for split, _ in found.sheet] == sorted(
        (split for split, _ in found.sheet), key=["train", "validation", "test"].index
    )
    assert repr(found) == "Survey(17 radiographs)"


def test_hostile_names_are_shown_as_text(hospital: HospitalFolder) -> None:
    found = seen(hospital)
    report = replace(
        found.report,
        site=HOSTILE,
        study=HOSTILE,
        labels={HOSTILE: found.report.labels["death"]},
        labs={HOSTILE: replace(found.report.labs["CRP"], unit=HOSTILE)},
        naming={HOSTILE: found.report.naming["death"]},
        doubts=doubts_of(HOSTILE, [f"`{HOSTILE}`"], HOSTILE),
    )
    page = render_check(replace(found, report=report))
    assert HOSTILE not in page and page.count("&lt;img src=x onerror=alert(1)&gt;") > 8


def test_backticks_become_code_and_nothing_else_does() -> None:
    assert coded("see `splits` & <b>") == "see <code>splits</code> &amp; &lt;b&gt;"
    assert coded("one ` alone") == "one ` alone"


def test_a_hospital_that_lacks_much_has_a_page(hospital: HospitalFolder) -> None:
    for key in ("columns.text", "columns.image", "columns.age", "labels.death", "labs.CRP"):
        hospital.configure(key, None)
    hospital.configure("budget", "none")
    page = render_check(seen(hospital))
    assert "absent" in page and "not mapped" in page and "<img" not in page
    assert "site.yaml sets no bound" in page


def test_a_site_that_is_not_ready_has_its_page_and_an_error(
    hospital: HospitalFolder, tmp_path: Path
) -> None:
    hospital.configure("limits", {"most_rounds": 1})
    done = check(hospital, "--html", str(tmp_path / "check.html"), "--json")
    assert isinstance(done.exception, ConfigError) and "federation.rounds" in str(done.exception)
    assert "✕ Not ready" in (tmp_path / "check.html").read_text(encoding="utf-8")
    assert json.loads(done.stdout)["verdict"] == "not ready"


@pytest.mark.parametrize("where", ["missing/check.html", "images"])
def test_a_place_that_can_not_be_written_is_one_error(hospital: HospitalFolder, where: str) -> None:
    done = check(hospital, "--html", str(hospital.folder / where))
    assert isinstance(done.exception, ConfigError) and str(done.exception).startswith("--html ")
    assert not list(hospital.folder.glob("*.part"))


def test_a_terminal_shows_each_warning_with_its_mend(hospital: HospitalFolder) -> None:
    hospital.configure("minimum_group", 10)
    done = check(hospital)
    assert done.exit_code == 0
    assert "warning: test: fewer than 10 patients" in done.stdout
    assert "Hold out more patients (`splits`)" in done.stdout
    assert done.stdout.rstrip().endswith("Verdict: ready with warnings")


def test_a_strip_lies_within_its_picture() -> None:
    drawn = strip([0, 1, 1000, 0])
    assert drawn.bars.count("M") == 2 and "v-34.0" in drawn.bars and "v-2.0" in drawn.bars
    assert 0 < drawn.low < WIDTH / 2 < drawn.high < WIDTH and HEIGHT == 34
    assert drawn.low + drawn.high == pytest.approx(WIDTH)
    assert strip([0, 0]).bars == strip([]).bars == ""

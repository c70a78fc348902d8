"""Every mistake through the real command: exit code 2, one error on stderr, no patient's value."""

import re
import subprocess
import sys
from collections.abc import Callable

import pytest

from client import cli
from tests.helpers.hospital_folder import HospitalFolder

SECRET = "Erika-Mustermann-4711"


def damage_yaml(hospital: HospitalFolder) -> None:
    hospital.configure("columns.sexx", {"column": "sex"})


def damage_path(hospital: HospitalFolder) -> None:
    hospital.configure("records.path", "elsewhere.csv")


def damage_png(hospital: HospitalFolder) -> None:
    image = hospital.folder / "images" / "5.png"
    image.rename(image.with_name(f"{SECRET}.png")).write_bytes(image_bytes_of(hospital)[:200])
    hospital.set_cell(5, "file", f"{SECRET}.png")


def image_bytes_of(hospital: HospitalFolder) -> bytes:
    return (hospital.folder / "images" / "6.png").read_bytes()


def damage_encoding(hospital: HospitalFolder) -> None:
    hospital.set_cell(5, "complaint", f"{SECRET} hat Übelkeit")
    path = hospital.folder / "encounters.csv"
    path.write_bytes(path.read_text(encoding="utf-8").encode("latin-1"))


def damage_duplicate(hospital: HospitalFolder) -> None:
    hospital.set_cell(4, "record_id", SECRET)
    hospital.set_cell(5, "record_id", SECRET)


def damage_split(hospital: HospitalFolder) -> None:
    for row in (4, 5):
        hospital.set_cell(row, "patient_id", SECRET)
    hospital.set_cell(5, "split", "test")


def damage_all_rows(hospital: HospitalFolder) -> None:
    path = hospital.folder / "encounters.csv"
    path.write_text(path.read_text(encoding="utf-8").splitlines()[0] + "\n", encoding="utf-8")


def damage_header(hospital: HospitalFolder) -> None:
    path = hospital.folder / "encounters.csv"
    path.write_text(path.read_text(encoding="utf-8").partition("\n")[2], encoding="utf-8")


def damage_unit(hospital: HospitalFolder) -> None:
    hospital.configure("labs.CRP.unit", "umol/L")


def cell(column: str, content: str) -> Callable[[HospitalFolder], None]:
    def damage(hospital: HospitalFolder) -> None:
        table = "patients.csv" if column in ("age", "sex") else "encounters.csv"
        hospital.set_cell(5, column, content, table)

    return damage


DAMAGES: dict[str, tuple[Callable[[HospitalFolder], None], str]] = {
    "unknown key": (damage_yaml, r"site\.yaml: columns\.sexx: unknown key; did you mean 'sex'"),
    "missing table": (damage_path, r"elsewhere\.csv: no such file, named by records\.path"),
    "truncated image": (
        damage_png,
        r"the image of encounters\.csv line \d+: the image is truncated or damaged",
    ),
    "wrong encoding": (
        damage_encoding,
        r"encounters\.csv: byte \d+ \(line \d+\) is not utf-8 text; save",
    ),
    "lab of words": (cell("crp", SECRET), r"line \d+, column 'crp': is text, expected a number"),
    "lab with a comma": (cell("crp", "4711,25"), r"column 'crp': is a number with a comma"),
    "age of words": (cell("age", SECRET), r"patients\.csv line 7, column 'age': is text"),
    "age too high": (cell("age", "4711"), r"column 'age': is a number outside 0 to 120"),
    "unknown sex": (cell("sex", SECRET), r"column 'sex': is text, expected a cell that columns"),
    "label of words": (cell("pneumonia", SECRET), r"is text, expected 0, 1 or empty"),
    "label beyond 1": (cell("pneumonia", "4711"), r"is a number, expected 0, 1 or empty"),
    "unknown split": (cell("split", SECRET), r"expected a cell that columns\.split\.train"),
    "missing image": (cell("file", SECRET), r"line \d+: can't be found by columns\.image"),
    "duplicate record": (damage_duplicate, r"column 'record_id': repeats the id"),
    "patient in two splits": (damage_split, r"puts a patient into another split"),
    "no rows": (damage_all_rows, r"encounters\.csv: holds a header, and no rows"),
    "no header": (damage_header, r"encounters\.csv.*: no column '\w+', named by"),
    "impossible unit": (damage_unit, r"labs\.CRP\.unit: 'umol/L' can't become .*molar mass"),
}


def run_check(hospital: HospitalFolder, monkeypatch: pytest.MonkeyPatch) -> int:
    arguments = ["check", str(hospital.site_file), "--study", str(hospital.study_file)]
    monkeypatch.setattr(sys, "argv", ["irene-client", *arguments])
    with pytest.raises(SystemExit) as left:
        cli.main()
    return int(left.value.code or 0)


def assert_one_error(stderr: str, expected: str) -> None:
    assert stderr.count("error:") == 1 and stderr.startswith("error: ")
    assert len(stderr.strip().splitlines()) == 1
    assert "Traceback" not in stderr
    assert re.search(expected, stderr), stderr


@pytest.mark.parametrize("name", DAMAGES)
def test_a_mistake_is_one_error(
    hospital: HospitalFolder,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
) -> None:
    damage, expected = DAMAGES[name]
    damage(hospital)
    assert run_check(hospital, monkeypatch) == 2
    printed = capsys.readouterr()
    assert_one_error(printed.err, expected)
    assert (printed.out == "") != ("image" in name)  # of images all the rest is reported too
    assert SECRET not in printed.out + printed.err and "4711" not in printed.err


def test_a_mistake_in_a_process_of_its_own(hospital: HospitalFolder) -> None:
    """The one of all mistakes after which a report is printed too."""
    damage, expected = DAMAGES["truncated image"]
    damage(hospital)
    done = subprocess.run(
        [
            *(sys.executable, "-c", "from client.cli import main; main()", "check", "--json"),
            *(str(hospital.site_file), "--study", str(hospital.study_file)),
        ],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 2
    assert_one_error(done.stderr, expected)
    assert SECRET not in done.stderr + done.stdout


def test_no_site_file(
    hospital: HospitalFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hospital.site_file.unlink()
    assert run_check(hospital, monkeypatch) == 2
    assert_one_error(capsys.readouterr().err, r"site\.yaml: no such file")


def test_an_undamaged_folder_passes(
    hospital: HospitalFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_check(hospital, monkeypatch) == 0
    printed = capsys.readouterr()
    assert printed.err == "" and "20 records of 10 patients" in printed.out
    assert "warning: with this site alone a model that starts from nothing" in printed.out

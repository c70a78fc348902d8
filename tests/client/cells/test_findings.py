"""ICD-10 codes and lists of findings to labels, with their certainty."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.cells.cell_error import CellError
from client.cells.findings import Finding, finding_reader, together
from client.site.columns import LabelColumn
from client.site.missing import MissingWords


def said(cell: str, **mapped: object) -> Finding:
    column = LabelColumn.model_validate({"column": "c", **mapped})
    return finding_reader("pneumonia", column, MissingWords())(cell)


@pytest.mark.parametrize(
    ("cell", "finding"),
    [
        ("J18.9", "yes"),
        ("J189", "yes"),
        ("j18", "yes"),
        ("J18.-", "yes"),
        ("J18.9 G", "yes"),
        ("J18.9 V", "maybe"),
        ("J18.9 Z", "maybe"),
        ("J18.9 A", "no"),
        ("J13", "yes"),
        ("J12.82", "yes"),
        ("J19.9", "no"),
        ("I10; J18.9", "yes"),
        ("I10, E11.90+ | J15.0*", "yes"),
        ("I10\nJ96.0", "no"),
        ("J18.9 V; J15.1", "yes"),
        ("J18.9 V; I10", "maybe"),
        ("Z03.8", "maybe"),
        ("S72.001A", "no"),
        ("", ""),
        ("NULL", ""),
        ("unknown", ""),
        ("keine Kodierung", ""),
    ],
)
def test_codes(cell: str, finding: Finding) -> None:
    listed = {"icd10": ["J18", "J12-J16"], "uncertain": ["Z03"], "unknown": ["keine Kodierung"]}
    assert said(cell, **listed) == finding


@pytest.mark.parametrize("cell", ["486", "pneumonia", "J1", "J18.9 X", "J18.9 J15.0", "18.9"])
def test_what_is_no_code_is_refused_by_kind(cell: str) -> None:
    with pytest.raises(CellError, match="expected ICD-10 codes") as caught:
        said(cell, icd10=["J18"])
    assert cell not in str(caught.value).split(",")[0]


def test_a_sign_without_a_space_is_refused_where_it_matters() -> None:
    for cell in ("J18.9V", "J18.9A", "J18Z"):
        with pytest.raises(CellError, match="put a space before the letter"):
            said(cell, icd10=["J18"])
    assert said("R40.2A", icd10=["J18"]) == "no"
    assert said("J18.9G", icd10=["J18"]) == "yes"


@pytest.mark.parametrize(
    ("cell", "finding"),
    [
        ("Pneumonia", "yes"),
        ("Cardiomegaly|Pneumonia", "yes"),
        ("cardiomegaly; pneumonia", "yes"),
        ("No Finding", "no"),
        ("Effusion", "no"),
        ("Possible pneumonia", "maybe"),
        ("Effusion|Possible pneumonia", "maybe"),
        ("no pneumonia", "no"),
        ("", ""),
    ],
)
def test_names(cell: str, finding: Finding) -> None:
    listed = {
        "names": ["pneumonia", "lobar pneumonia"],
        "uncertain": ["possible pneumonia"],
        "negative": ["no pneumonia"],
    }
    assert said(cell, **listed) == finding


@pytest.mark.parametrize("cell", ["kein Anhalt für Pneumonia", "Pneumonia?", "Pneumonia, left"])
def test_a_name_among_other_words_is_not_guessed(cell: str) -> None:
    with pytest.raises(CellError, match="among other words") as caught:
        said(cell, names=["Pneumonia"])
    assert cell not in str(caught.value)


def test_what_is_sure_outweighs_what_is_not() -> None:
    assert together(["no", "maybe", "yes", ""]) == "yes"
    assert together(["no", "maybe", ""]) == "maybe"
    assert together(["", "no"]) == "no"
    assert together(["", ""]) == ""


@given(
    st.from_regex(r"[A-Z][0-9]{2}(\.[0-9]{1,2})?", fullmatch=True), st.sampled_from(["", " G", "*"])
)
def test_every_code_has_its_own_beginning_and_no_other(code: str, sign: str) -> None:
    for length in (1, 2, 3):
        assert said(code + sign, icd10=[code[:length]]) == "yes"
    other = "A" if code[0] != "A" else "B"
    assert said(code + sign, icd10=[other]) == "no"


@given(st.text())
def test_any_text_is_a_finding_or_a_complaint(cell: str) -> None:
    for mapped in ({"icd10": ["J18"]}, {"names": ["x"]}):
        try:
            assert said(cell, **mapped) in ("yes", "maybe", "no", "")
        except CellError:
            continue


@pytest.mark.parametrize(
    ("mapped", "message"),
    [
        ({"icd10": ["18"]}, "is no ICD-10 code"),
        ({"icd10": ["J18"], "uncertain": ["maybe"]}, "is no ICD-10 code"),
        ({"icd10": ["J18"], "names": ["x"]}, "not both"),
        ({"icd10": ["J18"], "rule": "filled"}, "leave rule"),
        ({"icd10": ["J18"], "negative": ["x"]}, "leave rule"),
        ({"names": ["x"], "positive": ["y"]}, "leave rule"),
        ({"names": ["x"], "negative": ["x"]}, "listed both as"),
        ({"columns": ["d"], "icd10": ["J18"]}, "give column, or columns"),
    ],
)
def test_mistakes_in_site_yaml(mapped: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LabelColumn.model_validate({"column": "c", **mapped})
    with pytest.raises(ValueError, match="only icd10 and names look at several"):
        LabelColumn.model_validate({"columns": ["c", "d"]})

"""Each import command offers the fields of what it takes, with their defaults, and no others."""

from dataclasses import fields

import pytest
import typer.main

from client.imports.commands import import_app
from client.imports.options import HistoriesChosen, PicturesChosen, VisitsChosen


@pytest.mark.parametrize(
    ("name", "chosen", "records", "needs_study"),
    [
        ("fhir", HistoriesChosen, "images", True),
        ("omop", VisitsChosen, "visits", True),
        ("dicom", PicturesChosen, None, False),
    ],
)
def test_a_command_has_the_options_of_its_choices(
    name: str, chosen: type[PicturesChosen], records: str | None, needs_study: bool
) -> None:
    command = typer.main.get_command(import_app).commands[name]  # type: ignore[attr-defined]
    options = {each.name: each for each in command.params if each.param_type_name == "option"}
    assert options.keys() == {field.name for field in fields(chosen)}
    assert options["study_file"].required is needs_study
    assert records is None or options["records"].default == records

"""Texts by windows in the clinical vocabulary, from files to a model and its explanation."""

import numpy as np
import pytest
import torch

from client.check.quality import inspect
from client.records.dataset import open_dataset
from irene_model import Case, IreneProcessor
from irene_model.explain.explanation import explain
from irene_model.explain.reading import read
from irene_model.study.records import Record
from irene_model.weights.weights import new_model
from tests.helpers.hospital_folder import HospitalFolder

NOTE = "Respiratory distress with fever, haemoptysis and a small pleural effusion on the left"
TEXT = {"vocabulary": "clinical", "max_tokens": 4, "windows": 3, "width": 8, "trainable": False}


@pytest.fixture
def with_notes(hospital: HospitalFolder) -> HospitalFolder:
    """Every complaint is a note of 14 tokens, of which 12 are read."""
    hospital.configure("text", TEXT, "study.yaml")
    for row in range(len(hospital.rows())):
        hospital.set_cell(row, "complaint", NOTE)
    return hospital


def test_a_sites_notes_are_read_as_cases_are(with_notes: HospitalFolder) -> None:
    study = with_notes.study
    dataset = open_dataset(with_notes.site, study)
    batch = dataset.batch(np.arange(3))
    assert batch["input_ids"].shape == (3, 4, 3) and bool(batch["text_mask"].all())
    alone = IreneProcessor(study)([Case(text=NOTE)])
    assert torch.equal(alone["input_ids"][0], batch["input_ids"][0])
    model = new_model(study, seed=0).eval()
    assert not model.embeddings.text_tokens.weight.requires_grad
    inputs = {name: tensor for name, tensor in batch.items() if not name.startswith("label")}
    assert torch.isfinite(model(**inputs).logits).all()


def test_check_tells_what_is_cut_and_what_would_read_it(with_notes: HospitalFolder) -> None:
    report = inspect(with_notes.site, with_notes.study)
    texts = report.as_json()["texts"]
    assert (texts["median"], texts["long"], texts["read"], texts["cut"]) == (14, 14, 12, 20)
    assert texts["whole"] == 13 * 20 and texts["spelled"] == 0
    (doubt,) = [doubt for doubt in report.doubts if doubt.kind == "length"]
    assert "`text.windows: 4`" in doubt.mend
    with_notes.configure("text", {**TEXT, "windows": 4}, "study.yaml")
    whole = inspect(with_notes.site, with_notes.study)
    assert "length" not in {doubt.kind for doubt in whole.doubts}


def test_words_that_share_a_place_share_its_evidence(with_notes: HospitalFolder) -> None:
    study = with_notes.study
    model = new_model(study, seed=0).eval()
    batch = IreneProcessor(study)([Case(text=NOTE)])
    explanation = explain(model, batch)
    record = Record(patient_id="p", record_id="r", split="test", text=NOTE, labs={}, labels={})
    reading = read(explanation, record, study)
    said = [word.evidence for word in reading.words]
    assert len(said) == 13 and said[-2:] == [None, None]
    text = explanation.of(explanation.evidence, "text")
    assert float(text.abs().sum()) > 0
    assert said[0] == pytest.approx(float(text[0]) / 3)  # respiratory, distress, with
    assert sum(each for each in said if each is not None) == pytest.approx(float(text.sum()))

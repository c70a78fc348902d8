"""A record's explanation and its reading: everything on one axis, and back to words and names."""

import json
from dataclasses import replace

import pytest
import torch

from irene_model.explain.attention_maps import block_maps, read_by_head, rollout
from irene_model.explain.explanation import TOLERATED_GAP, Explanation, explain
from irene_model.explain.integrated_gradients import integrated_gradients
from irene_model.explain.layout import TokenLayout
from irene_model.explain.reading import Reading, read
from irene_model.inputs.tensors import Batch, encode_pixels, encode_records
from irene_model.study.records import Record
from irene_model.study.study import Study
from irene_model.weights.weights import new_model
from tests.helpers.hospital_folder import STUDY as DOCUMENT
from tests.helpers.models.small_irene import inputs, masks, small_model

STUDY = Study.model_validate({**DOCUMENT, "text": {"max_tokens": 5, "width": 8}})
FULL = Record(
    patient_id="p",
    record_id="r",
    split="test",
    text="Fever, xyl\ncough",  # fever , x ##y ##l and no room for the cough
    labs={"lymphocytes": 0.6, "CRP": float("inf")},
    age_years=61.0,
    sex="female",
    labels={"death": 1},
)


def batch_of(record: Record, *, image: bool = True) -> Batch:
    batch = encode_records([record], STUDY)
    batch["image_mask"][:] = image
    grey = torch.randint(0, 256, (1, 16, 16), generator=torch.Generator().manual_seed(0))
    batch["pixel_values"] = encode_pixels(grey.to(torch.uint8).numpy(), STUDY)
    return batch


def reading_of(record: Record, *, image: bool = True) -> tuple[Reading, Explanation]:
    model = new_model(STUDY, seed=0).eval()
    explanation = explain(model, batch_of(record, image=image))
    return read(explanation, record, STUDY), explanation


def test_an_explanation_is_made_of_its_parts() -> None:
    model = small_model()
    batch = {name: tensor[2:3] for name, tensor in (inputs() | masks(4)).items()}
    found = explain(model, batch, label=1)
    layout = TokenLayout.of(model.config)
    present = layout.presence(batch)
    with torch.no_grad():
        out = model(**batch, output_attentions=True)
    torch.testing.assert_close(found.probabilities, out.logits[0].sigmoid())
    rolled = rollout(block_maps(out.attentions, present), present)
    torch.testing.assert_close(found.attention, read_by_head(rolled, present)[0])
    assert found.gap <= TOLERATED_GAP
    moved = integrated_gradients(model, batch, label=1, steps=128)
    for part, values in (("text", moved.text), ("labs", moved.labs)):
        torch.testing.assert_close(found.of(found.evidence, part), values[0], atol=1e-3, rtol=1e-3)
    # The patch in the second row, first column has rows 4 to 8 and columns 0 to 4.
    patches = found.of(found.evidence, "patches")
    torch.testing.assert_close(patches[1, 0], moved.pixels[0, 4:8, 0:4].sum(), atol=1e-3, rtol=1e-3)
    sums = found.by_modality(found.evidence)
    assert sums["demographics"] == pytest.approx(float(moved.age + moved.sex), abs=1e-3)
    assert sum(sums.values()) == pytest.approx(
        found.logit - found.baseline_logit, abs=TOLERATED_GAP
    )


def test_the_most_probable_label_is_explained() -> None:
    model, batch = small_model(), inputs(records=1)
    found = explain(model, batch)
    assert found.label == int(model(**batch).logits.argmax())
    assert explain(model, batch, label=0).label == 0


def test_a_sharp_model_gets_more_steps() -> None:
    """Where 64 points are too few for the evidence to add up, they are doubled."""
    model = small_model()
    with torch.no_grad():
        for parameter in model.encoder.parameters():
            parameter.mul_(1.5)
    batch = {name: tensor[1:2] for name, tensor in inputs().items()}
    few = integrated_gradients(model, batch, label=2, steps=64)
    assert (few.total - few.logit + few.baseline_logit).abs() > TOLERATED_GAP
    assert explain(model, batch, label=2).gap <= TOLERATED_GAP


def test_one_record_at_a_time() -> None:
    with pytest.raises(ValueError, match="one record"):
        explain(small_model(), inputs(records=2))


def test_a_reading_says_words_values_and_names() -> None:
    reading, explanation = reading_of(FULL)
    assert [word.name for word in reading.words] == ["Fever,", "xyl", "cough"]
    text = explanation.of(explanation.evidence, "text").tolist()
    spoken = [word.evidence for word in reading.words]
    assert spoken[0] == pytest.approx(sum(text[:2]), abs=1e-6)
    assert spoken[1] == pytest.approx(sum(text[2:]), abs=1e-6)
    assert spoken[2] is None
    labs = [(lab.name, lab.shown) for lab in reading.labs]
    assert labs == [("CRP", "above detection ↑"), ("lymphocytes", "0.6 10^9/L ↓")]
    assert reading.labs[0].position == 4.0
    assert [(item.name, item.shown) for item in reading.demographics] == [
        ("age", "61 years"),
        ("sex", "female"),
    ]
    assert reading.annotated == {"death": 1}
    assert set(reading.probabilities) == {"pneumonia", "death"}
    assert sum(reading.attention.values()) == pytest.approx(1.0, abs=1e-5)
    items = [*reading.words[:2], *reading.numbers]
    assert reading.patch_attention is not None
    whole = float(reading.patch_attention.sum()) + float(explanation.attention[0])
    assert whole + sum(item.attention or 0.0 for item in items) == pytest.approx(1.0, abs=1e-5)
    age = explanation.of(explanation.evidence, "age")
    assert reading.demographics[0].evidence == pytest.approx(float(age))


def test_a_reading_leaves_out_what_is_absent() -> None:
    bare = replace(FULL, text=None, labs={}, age_years=None)
    reading, _ = reading_of(bare, image=False)
    assert (reading.words, reading.labs) == ((), ())
    assert [item.name for item in reading.demographics] == ["sex"]
    assert reading.demographics[0].attention == pytest.approx(1.0)
    assert reading.patch_attention is None
    assert reading.demographics[0].patches is None
    nothing, _ = reading_of(replace(bare, sex=None), image=False)
    assert nothing.numbers == ()
    assert set(nothing.evidence.values()) == {0.0}


def test_json_holds_all_of_it_and_reprs_nothing() -> None:
    reading, _ = reading_of(FULL)
    document = json.loads(json.dumps(reading.as_json(), allow_nan=False))
    assert document["words"][2] == {
        "name": "cough", "shown": "", "position": None,
        "attention": None, "evidence": None, "patches": None,
    }  # fmt: skip
    assert len(document["labs"][0]["patches"]) == len(document["image"]["evidence"]) == 2
    shown = repr(reading) + repr(reading.words) + repr(reading.labs)
    assert not any(secret in shown for secret in ("Fever", "detection", "61"))

"""Patients whose radiograph, words and blood mean something only together.

Each visit tells a story of one of these kinds:

- **place and time**: two findings, one a side or one above the other, and a note that concerns one
  of them. It calls one side known for years, or hurting since yesterday. The new finding is the
  disease, and the other is an old scar or a known effusion.
- **drain**: air on one side and fluid on the other, and a drain in the picture. A drain since
  yesterday explains what lies on its side; one that has lain for weeks, with new pain, does not.
- **airways, infiltrate**: the same value means one disease with one finding and another with
  another, and nothing without: eosinophils with wide airways are asthma (`copd`), with trapped air
  the mould of `bronchiectasis`.
- **steroids** raise white cells by themselves. Beside an infiltrate raised ones are pneumonia
  without steroids; under steroids it is those that do not rise. Without an infiltrate neither is.

All parts of a story are drawn evenly and apart from each other, and the disease follows from
whether they agree. So no modality alone, and no sum of a score for each, tells the disease better
than that one of the two is there. A few notes are wrong. Rates are invented.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from simulations.patients.diseases import DISEASES
from simulations.patients.patients import Encounter, Patient, measure
from simulations.patients.radiographs import Finding, FindingKind, Findings
from simulations.patients.remarks import Place, Remark

Side = Literal[0, 1]
Zone = Literal[0, 1, 2]
_STANDS_FOR: dict[FindingKind, str] = {
    "opacity": "pneumonia",
    "cavity": "tuberculosis",
    "mass": "lung_cancer",
    "air": "pneumothorax",
    "fluid": "pleural_effusion",
}
_FOCAL = ("opacity", "cavity", "mass")
_STORIES = ("place", "drain", "place and airways", "infiltrate", "steroids")
_SHARES = (0.42, 0.12, 0.18, 0.14, 0.14)
_STACKED = 0.4  # chance that two focal findings lie in one lung, one above the other
_WRONG = 0.04  # chance that a note, or a value, misleads
_INFILTRATE = 0.7  # chance that there is one, where the note speaks of steroids
_STRAY = 0.3  # chance of an abnormal value that means nothing, since its finding is not there
_SIDES: tuple[Place, Place] = ("right", "left")
_LEVELS: tuple[Place, Place] = ("upper", "lower")
_TOLD = ("dyspnoea", "fatigue", "dry_cough", "sputum")  # of these one at most, whatever the disease
_WHITE_CELLS = {"leukocytes": 1.9, "neutrophils": 2.2}


@dataclass(kw_only=True)
class _Visit:
    """What one visit shows, as its stories are told one after the other."""

    findings: list[Finding] = field(default_factory=list)
    drain: Side | None = None
    remarks: list[Remark] = field(default_factory=list)
    abnormalities: set[str] = field(default_factory=set)
    white_cells: bool = False
    diseases: set[str] = field(default_factory=set)


def draw_related_patients(rng: np.random.Generator, *, num_patients: int) -> list[Patient]:
    """Draw patients with one visit each, all following from `rng`."""
    return [_draw_patient(rng) for _ in range(num_patients)]


def _draw_patient(rng: np.random.Generator) -> Patient:
    visit = _Visit()
    story = _STORIES[int(rng.choice(len(_STORIES), p=_SHARES))]
    if story == "drain":
        _tell_drain(visit, rng)
    elif story in ("infiltrate", "steroids"):
        (_tell_infiltrate if story == "infiltrate" else _tell_steroids)(visit, rng)
    else:
        _tell_place(visit, rng)
        if story == "place and airways":
            _tell_airways(visit, rng)
    seen = {item.kind for item in visit.findings}
    if not visit.abnormalities and not seen & {"opacity", "reticulation"} and _by(rng, _STRAY):
        visit.abnormalities.add("inflammation" if _by(rng) else "eosinophilia")
    values = measure(rng, visit.abnormalities)
    if visit.white_cells:
        values |= {name: float(f"{values[name] * f:.3g}") for name, f in _WHITE_CELLS.items()}
    encounter = Encounter(
        encounter_id=rng.bytes(8).hex(),
        age_years=int(np.clip(rng.normal(60, 16), 18, 95)),
        sex="m" if _by(rng) else "f",
        labels=tuple(int(name in visit.diseases) for name in DISEASES),
        findings=Findings(items=tuple(visit.findings), drain=visit.drain),
        symptoms=(_TOLD[int(rng.integers(len(_TOLD)))],) if _by(rng) else (),
        labs=values,
        abnormalities=tuple(sorted(visit.abnormalities)),
        remarks=tuple(visit.remarks),
    )
    return Patient(patient_id=rng.bytes(8).hex(), encounters=(encounter,))


def _tell_place(visit: _Visit, rng: np.random.Generator) -> None:
    kinds = list(_STANDS_FOR)
    chosen = [kinds[int(index)] for index in rng.choice(len(kinds), 2, replace=False)]
    stacked = all(kind in _FOCAL for kind in chosen) and _by(rng, _STACKED)
    side = _side(rng)
    ends: tuple[Zone, Zone] = (0, 2)
    for number, kind in enumerate(chosen):
        at = side if stacked or number == 0 else _other(side)
        zone = ends[number] if stacked else _zone(rng)
        visit.findings.append(_finding(rng, kind, at, zone))
    named, new = int(rng.integers(2)), _by(rng)
    place: Place = _LEVELS[named] if stacked else _SIDES[visit.findings[named].side]
    visit.remarks.append(Remark(kind="new" if new else "old", place=place))
    _conclude(visit, rng, chosen[named if new else 1 - named], chosen[1 - named if new else named])


def _tell_drain(visit: _Visit, rng: np.random.Generator) -> None:
    chosen: tuple[FindingKind, FindingKind] = ("air", "fluid")
    side, long = _side(rng), _by(rng)
    visit.findings += [_finding(rng, "air", side, 2), _finding(rng, "fluid", _other(side), 2)]
    drained = int(rng.integers(2))
    visit.drain = visit.findings[drained].side
    visit.remarks.append(Remark(kind="drain_old" if long else "drain_new"))
    new = drained if long else 1 - drained
    _conclude(visit, rng, chosen[new], chosen[1 - new])


def _conclude(
    visit: _Visit, rng: np.random.Generator, new: FindingKind, known: FindingKind
) -> None:
    visit.diseases.add(_STANDS_FOR[known if _by(rng, _WRONG) else new])


def _tell_airways(visit: _Visit, rng: np.random.Generator) -> None:
    trapped, infected = _by(rng), _by(rng)
    # Where no air or fluid hides them.
    dry = [item.side for item in visit.findings if item.kind in _FOCAL]
    side = dry[0] if dry else _side(rng)
    kind: FindingKind = "hyperinflation" if trapped else "bronchial_walls"
    visit.findings.append(_finding(rng, kind, side, 2))
    visit.abnormalities.add("inflammation" if infected else "eosinophilia")
    agree = (trapped == infected) != _by(rng, _WRONG)
    visit.diseases.add("copd" if agree else "bronchiectasis")


def _tell_infiltrate(visit: _Visit, rng: np.random.Generator) -> None:
    focal, infected = _by(rng), _by(rng)
    kind: FindingKind = "opacity" if focal else "reticulation"
    visit.findings.append(_finding(rng, kind, _side(rng), _zone(rng)))
    visit.abnormalities.add("inflammation" if infected else "eosinophilia")
    agree = (focal == infected) != _by(rng, _WRONG)
    visit.diseases.add("pneumonia" if agree else "interstitial_lung_disease")


def _tell_steroids(visit: _Visit, rng: np.random.Generator) -> None:
    taking, visit.white_cells = _by(rng), _by(rng)
    visit.remarks.append(Remark(kind="steroids_now" if taking else "steroids_past"))
    if _by(rng, _INFILTRATE):
        visit.findings.append(_finding(rng, "opacity", _side(rng), _zone(rng)))
        if (taking != visit.white_cells) != _by(rng, _WRONG):
            visit.diseases.add("pneumonia")


def _finding(rng: np.random.Generator, kind: FindingKind, side: Side, zone: Zone) -> Finding:
    return Finding(kind=kind, side=side, zone=zone, severity=float(rng.uniform(0.8, 1.2)))


def _by(rng: np.random.Generator, chance: float = 0.5) -> bool:
    return bool(rng.random() < chance)


def _side(rng: np.random.Generator) -> Side:
    return 1 if _by(rng) else 0


def _other(side: Side) -> Side:
    return 0 if side else 1


def _zone(rng: np.random.Generator) -> Zone:
    zones: Sequence[Zone] = (0, 1, 2)
    return zones[int(rng.integers(3))]

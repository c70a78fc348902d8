"""Chief complaints: a patient's symptoms put in words, as one hospital's staff would write them.

Hospitals differ in style, so the same symptom reads differently from site to site, and a word such
as "fever" may stand in a negation. All words come from the tables below, so that a small
tokenizer's vocabulary can be made of `WORDS`.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

MAX_WORDS = 25
MIN_WORDS = 4


@dataclass(frozen=True, kw_only=True)
class Wording:
    """How one symptom may be called: written out, or in the shorthand of a busy ward."""

    plain: tuple[str, ...]
    short: tuple[str, ...]
    absent: str


@dataclass(frozen=True, kw_only=True)
class Phrasing:
    """One hospital's style. `shorthand` is the chance that a symptom is written in shorthand."""

    shorthand: float
    openings: tuple[str, ...]
    joiners: tuple[str, ...]
    durations: tuple[str, ...]
    denial: str
    denial_chance: float
    nothing: tuple[str, ...]
    padding: tuple[str, ...]
    lower_case: bool


WORDINGS: Mapping[str, Wording] = {
    "fever": Wording(
        plain=("fever", "a high temperature", "fever with chills", "feeling hot and shivery"),
        short=("fever", "febrile", "pyrexia", "temp 39"),
        absent="fever",
    ),
    "sputum": Wording(
        plain=("bringing up yellow phlegm", "a daily productive cough", "cough with green sputum"),
        short=("prod cough", "purulent sputum", "phlegm"),
        absent="phlegm",
    ),
    "night_sweats": Wording(
        plain=("drenching night sweats", "waking up soaked in sweat", "sweating at night"),
        short=("night sweats", "noct sweats"),
        absent="night sweats",
    ),
    "weight_loss": Wording(
        plain=("unintended weight loss", "losing weight without trying", "clothes getting loose"),
        short=("weight loss", "wt loss", "wt down"),
        absent="weight loss",
    ),
    "wheeze": Wording(
        plain=("wheezing", "a whistling chest", "noisy wheezy breathing"),
        short=("wheeze", "wheezy", "wheezing"),
        absent="wheeze",
    ),
    "dry_cough": Wording(
        plain=("a dry cough", "a dry tickly cough", "persistent dry coughing"),
        short=("dry cough", "nonprod cough"),
        absent="dry cough",
    ),
    "sudden_pain": Wording(
        plain=("sudden sharp chest pain", "stabbing pain on one side", "sudden chest pain"),
        short=("pleuritic cp", "acute cp", "chest pain"),
        absent="chest pain",
    ),
    "dyspnoea": Wording(
        plain=("shortness of breath", "breathlessness", "getting breathless on stairs"),
        short=("sob", "dyspnoea", "doe", "breathless"),
        absent="dyspnoea",
    ),
    "haemoptysis": Wording(
        plain=("coughing up blood", "blood when coughing", "spitting blood"),
        short=("haemoptysis", "bloody cough"),
        absent="haemoptysis",
    ),
    "fatigue": Wording(
        plain=("tiredness", "feeling exhausted", "no energy"),
        short=("fatigue", "tired"),
        absent="fatigue",
    ),
    "smoker": Wording(
        plain=("smoking a pack daily", "a heavy smoker"),
        short=("smoker", "40 pack years"),
        absent="smoking",
    ),
}
PHRASINGS: Mapping[str, Phrasing] = {
    "terse": Phrasing(
        shorthand=0.9,
        openings=("",),
        joiners=(", ",),
        durations=("x1d", "x2d", "x3d", "x5d", "x1w", "x2w", "x1m"),
        denial="no {}",
        denial_chance=0.10,
        nothing=("routine check, no complaints", "follow up, feels well"),
        padding=("seen in clinic today", "sent by family doctor"),
        lower_case=False,
    ),
    "sentences": Phrasing(
        shorthand=0.05,
        openings=("The patient reports ", "The patient complains of ", "Presents with "),
        joiners=(", ", " and "),
        durations=("for two days", "for a week", "for three weeks", "over the last month"),
        denial="Denies {}",
        denial_chance=0.25,
        nothing=("The patient feels well and has no complaints", "Comes for a routine check"),
        padding=("Referred by the family doctor",),
        lower_case=False,
    ),
    "abbreviated": Phrasing(
        shorthand=1.0,
        openings=("pt w ", "hx of ", "adm w ", "c o "),
        joiners=(" + ", ", ", " w "),
        durations=("2d", "4d", "1 wk", "3 wks", "2 mths"),
        denial="neg for {}",
        denial_chance=0.25,
        nothing=("pt w nil complaints, routine fu", "routine fu, asymptomatic pt"),
        padding=("ref from gp", "via ed"),
        lower_case=True,
    ),
    "nurse": Phrasing(
        shorthand=0.4,
        openings=("Pt states ", "Pt says has had ", "Came in with ", "Family reports "),
        joiners=(", also ", " and ", ", "),
        durations=("since yesterday", "since monday", "for some days", "for weeks", "on and off"),
        denial="no {} noted",
        denial_chance=0.20,
        nothing=("Pt states feels fine, here for check", "Here for follow up, comfortable"),
        padding=("walked in alone", "came by ambulance"),
        lower_case=False,
    ),
}


def write(symptoms: Collection[str], *, rng: np.random.Generator, phrasing: str = "terse") -> str:
    """Write one chief complaint of 4 to 25 words.

    Args:
        symptoms: names from `WORDINGS`, at most eleven; each is mentioned once.
        rng: chooses order, synonyms, duration and whether an absent symptom is denied.
        phrasing: a key of `PHRASINGS`.

    Raises:
        ValueError: an unknown symptom or phrasing.
    """
    if phrasing not in PHRASINGS:
        raise ValueError(f"phrasing: got {phrasing!r}, expected one of {sorted(PHRASINGS)}")
    if unknown := sorted(set(symptoms) - set(WORDINGS)):
        raise ValueError(f"symptoms: unknown {unknown}; known are {sorted(WORDINGS)}")
    style = PHRASINGS[phrasing]
    # Table order first: a set's own order changes between processes.
    present = [name for name in WORDINGS if name in symptoms]
    text = _mention(present, style, rng) if present else _pick(style.nothing, rng)
    if present and rng.random() < 0.6:
        text = _append(text, " ", _pick(style.durations, rng))
    if rng.random() < style.denial_chance:
        absent = [w.absent for name, w in WORDINGS.items() if name not in symptoms]
        if absent:
            text = _append(text, ". ", style.denial.format(_pick(absent, rng)))
    if _length(text) < MIN_WORDS:
        text = _append(text, ", ", _pick(style.padding, rng))
    return text.lower() if style.lower_case else text[0].upper() + text[1:]


def _mention(names: list[str], style: Phrasing, rng: np.random.Generator) -> str:
    text = _pick(style.openings, rng)
    order = [names[int(index)] for index in rng.permutation(len(names))]
    for position, name in enumerate(order):
        wording = WORDINGS[name]
        brief = rng.random() < style.shorthand
        joiner = _pick(style.joiners, rng) if position else ""
        # Each symptom still to come must fit, in its fewest words and after a bare comma.
        rest = sum(_length(_fewest(WORDINGS[later])) for later in order[position + 1 :])
        room = MAX_WORDS - _length(text) - rest
        choices = wording.short if brief else wording.plain
        phrase = _pick(choices, rng)
        if _length(joiner + phrase) > room:
            joiner, phrase = joiner and ", ", _fewest(wording)
        text += joiner + phrase
    return text


def _fewest(wording: Wording) -> str:
    return min(wording.short, key=_length)


def _append(text: str, separator: str, more: str) -> str:
    """`text` with `more`, or alone where that would make it too long."""
    joined = text + separator + more
    return joined if _length(joined) <= MAX_WORDS else text


def _pick(options: Collection[str], rng: np.random.Generator) -> str:
    return tuple(options)[int(rng.integers(len(options)))]


def split_words(text: str) -> list[str]:
    """The lower-case words and numbers of a text, punctuation dropped."""
    return re.findall(r"[a-z0-9]+", text.lower())


def _length(text: str) -> int:
    return len(split_words(text))


def _all_phrases() -> Iterator[str]:
    for wording in WORDINGS.values():
        yield from (*wording.plain, *wording.short, wording.absent)
    for style in PHRASINGS.values():
        yield from (*style.openings, *style.joiners, *style.durations, style.denial.format(""))
        yield from (*style.nothing, *style.padding)


WORDS: tuple[str, ...] = tuple(
    sorted({word for phrase in _all_phrases() for word in split_words(phrase)})
)

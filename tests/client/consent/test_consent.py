"""Nothing is done for a study that the site's people have not approved, or while they paused."""

import hashlib
import json
from collections.abc import Callable

import numpy as np
import pytest

from client.consent.consent import _MOST_REQUESTS, Consent, journal_of
from client.participant import Participant
from client.training.releases import Releases
from client.training.training import pack
from irene_model.errors import ConfigError, DataError
from irene_model.exchange.replies import EvaluateReply, HelloReply, TrainReply
from irene_model.exchange.requests import EvaluateRequest, HelloRequest, TrainRequest
from irene_model.journal.journal import Journal
from irene_model.study.study import Study
from irene_model.weights.weights import new_model, to_arrays
from tests.helpers.hospital_folder import SMALL, HospitalFolder

UNAPPROVED = "the study waits for the approval of the site's people"
PAUSED = "the site's people have paused it"
Ask = Callable[[HospitalFolder], HelloReply | TrainReply | EvaluateReply]


@pytest.fixture(autouse=True)
def _small_model(hospital: HospitalFolder) -> None:
    hospital.configure("model", SMALL, "study.yaml")


def hello(hospital: HospitalFolder) -> HelloReply:
    request = HelloRequest.about(hospital.study, run="r")
    return Participant.of_node(hospital.site_file).hello(request)


def train(hospital: HospitalFolder) -> TrainReply:
    study = hospital.study
    arrays = to_arrays(new_model(study, seed=1))
    request = TrainRequest.about(study, run="r", round=1, arrays=arrays)
    return Participant.of_node(hospital.site_file).train(request)


def evaluate(hospital: HospitalFolder) -> EvaluateReply:
    study = hospital.study
    arrays = to_arrays(new_model(study, seed=1))
    request = EvaluateRequest.about(study, run="r", round=1, split="test", arrays=arrays)
    return Participant.of_node(hospital.site_file).evaluate(request)


def consent(hospital: HospitalFolder) -> Consent:
    return Consent.of(hospital.site)


def renamed(study: Study, name: str) -> Study:
    return study.model_copy(update={"name": name})


@pytest.mark.parametrize("ask", [hello, train, evaluate])
def test_nothing_is_touched_before_approval_or_while_paused(
    hospital: HospitalFolder, ask: Ask
) -> None:
    reply = ask(hospital)
    assert (reply.outcome, reply.reason, reply.arrays) == ("waiting", UNAPPROVED, {})
    assert reply.code == "people"
    assert [path.name for path in (hospital.folder / ".irene").iterdir()] == ["requests"]
    consent(hospital).approve(hospital.study)
    assert consent(hospital).pause() and not consent(hospital).pause()
    reply = ask(hospital)
    assert (reply.outcome, reply.reason, reply.arrays) == ("waiting", PAUSED, {})
    assert not list((hospital.folder / ".irene").glob("ledger*"))
    assert not (hospital.folder / ".irene" / "cache").exists()
    assert consent(hospital).resume() and not consent(hospital).resume()
    assert ask(hospital).outcome in ("ready", "updated", "evaluated")


def test_a_changed_study_needs_a_new_approval(hospital: HospitalFolder) -> None:
    consent(hospital).approve(hospital.study)
    assert hello(hospital).outcome == "ready"
    hospital.configure("federation.rounds", 3, "study.yaml")
    assert (hello(hospital).outcome, hello(hospital).reason) == ("waiting", UNAPPROVED)


def test_people_are_not_asked_about_what_the_limits_forbid(hospital: HospitalFolder) -> None:
    hospital.configure("limits", {"most_rounds": 1})
    assert hello(hospital).outcome == train(hospital).outcome == "declined"
    assert consent(hospital).requests() == []


def test_requests_are_found_by_name_and_by_prefix(hospital: HospitalFolder) -> None:
    study, other = hospital.study, renamed(hospital.study, "another study")
    for asked in (study, other, study):
        assert consent(hospital).refusal(asked) == UNAPPROVED
    consent(hospital).approve(other)
    listed = {each.study.name: each.approved for each in consent(hospital).requests()}
    assert listed == {"test study": False, "another study": True}
    assert consent(hospital).find("test study") == study
    assert consent(hospital).find(other.fingerprint[:12]) == other
    for wanted in ("nothing", study.fingerprint[:3]):
        with pytest.raises(ConfigError, match=r"asked for: .*another study"):
            consent(hospital).find(wanted)
    twin = other.model_copy(update={"labels": ("pneumonia",)})
    consent(hospital).refusal(twin)
    with pytest.raises(ConfigError, match=twin.fingerprint[:12]):
        consent(hospital).find("another study")


def test_a_flood_of_studies_fills_no_disk(hospital: HospitalFolder) -> None:
    for number in range(_MOST_REQUESTS + 10):
        consent(hospital).refusal(renamed(hospital.study, f"study {number}"))
    huge = renamed(hospital.study, "x" * 40)
    huge = huge.model_copy(update={"labels": tuple(f"label {n}" for n in range(100_000))})
    assert consent(hospital).refusal(huge) == UNAPPROVED
    kept = consent(hospital).requests()
    assert len(kept) == _MOST_REQUESTS and huge.fingerprint not in {a.fingerprint for a in kept}


def test_a_damaged_file_of_approvals_approves_nothing(hospital: HospitalFolder) -> None:
    consent(hospital).approve(hospital.study)
    path = hospital.folder / ".irene" / "approvals.json"
    assert path.stat().st_mode & 0o077 == 0
    path.write_text(path.read_text()[:-20])
    with pytest.raises(DataError, match="move it away and approve again"):
        consent(hospital).approved(hospital.study.fingerprint)
    assert hello(hospital).outcome == "failed"
    assert str(hospital.folder) not in hello(hospital).reason


def test_leaving_withdraws_every_approval(hospital: HospitalFolder) -> None:
    consent(hospital).approve(hospital.study)
    consent(hospital).pause()
    assert consent(hospital).withdraw() == 1
    assert not consent(hospital).paused
    assert hello(hospital).outcome == "waiting"


def test_what_leaves_is_in_the_journal_with_its_hash(hospital: HospitalFolder) -> None:
    consent(hospital).approve(hospital.study)
    update, evaluation = train(hospital), evaluate(hospital)
    entries = journal_of(hospital.site).entries()
    assert [e.kind for e in entries] == [
        "study approved", "update released", "evaluation released",
    ]  # fmt: skip
    for entry, reply in zip(entries[1:], (update, evaluation), strict=True):
        noted = json.loads(entry.content)
        assert noted["who"] == "run r" and noted["round"] == 1
        assert noted["fingerprint"] == hospital.study.fingerprint
        assert noted["sha256"] == hashlib.sha256(pack(reply.arrays)).hexdigest()
        assert noted["epsilon_total"] == reply.epsilon_total
    train(hospital)  # the same bytes, sent again
    last = json.loads(journal_of(hospital.site).entries()[-1].content)
    assert last["sha256"] == json.loads(entries[1].content)["sha256"]


def test_what_can_not_be_noted_does_not_leave(hospital: HospitalFolder) -> None:
    consent(hospital).approve(hospital.study)
    path = journal_of(hospital.site).path
    path.write_text(path.read_text().replace("test study", "best study"))
    reply = train(hospital)  # nor is it charged: the journal vouches for the ledger
    assert (reply.outcome, reply.code, reply.arrays) == ("failed", "ledger", {})
    assert reply.rounds_charged == -1 and not (hospital.folder / ".irene/ledger.sqlite").exists()
    full = Journal(hospital.folder / "another.jsonl")
    full.append("a line", who="somebody")
    full.path.write_text(full.path.read_text().replace("somebody", "nobody"))
    hospital.configure("ledger", "elsewhere/ledger.sqlite")
    other = Participant(site=hospital.site, releases=Releases(journal=full))
    arrays = to_arrays(new_model(hospital.study, seed=1))
    request = TrainRequest.about(hospital.study, run="r", round=1, arrays=arrays)
    path.unlink()
    consent(hospital).withdraw()
    reply = other.train(request)
    assert (reply.outcome, reply.arrays, reply.rounds_charged) == ("failed", {}, 1)


def test_a_release_without_privacy_has_no_epsilon(hospital: HospitalFolder) -> None:
    releases = Releases(journal=journal_of(hospital.site))
    reply = TrainReply(
        site="north", round=1, fingerprint="", outcome="updated", epsilon_total=float("inf"),
        arrays={"a": np.zeros(2, np.float32)},
    )  # fmt: skip
    releases.note(reply, study=hospital.study, run="r")
    (entry,) = journal_of(hospital.site).entries()
    assert json.loads(entry.content)["epsilon_total"] is None

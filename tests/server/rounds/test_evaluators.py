"""Sites that only evaluate: asked for no round, counted for none, and judged in what they tell."""

import math
from pathlib import Path
from typing import Any

import pytest

from irene_model.errors import IreneError, ProtocolError
from irene_model.exchange.protocol import Flat
from irene_model.exchange.protocol import Message as Typed
from irene_model.exchange.replies import HelloReply
from server.aggregation.declared import Declared
from tests.helpers.direct_grid import Node
from tests.helpers.federations.three_sites import Federation, outcomes
from tests.helpers.made_up_site import made_up_evaluation, made_up_site, study_of
from tests.server.rounds.test_attendance import nodes_of, ready, roll_of

pytestmark = pytest.mark.usefixtures("hurried")
SAID = "the site only evaluates"


def evaluator(site: str, patients: float = 40.0) -> HelloReply:
    return HelloReply(site=site, outcome="ready", only_evaluates=patients)


def federation(path: Path, **changes: Any) -> Federation:
    """Two that train, and one that only evaluates."""
    study = study_of(
        {"round_deadline_s": 0.4, "rounds": 2, **changes}, evaluation={"noise_multiplier": 1.0}
    )
    nodes = {n: made_up_site(study, s, evaluates=True) for n, s in ((1, "east"), (2, "north"))}

    def answer(flat: Flat) -> Typed:
        if flat.values["kind"] == "hello":
            return evaluator("south")
        assert flat.values["kind"] == "evaluate", "a site that never trains was asked to"
        split = "test" if flat.values["split"] == "test" else "validation"
        return made_up_evaluation(study, "south", int(flat.values["round"]), split)

    return Federation(path / "run", study, {**nodes, 3: Node(answer)})


def test_it_is_asked_for_evaluations_and_for_no_round(tmp_path: Path) -> None:
    run = federation(tmp_path)
    lines = run.run()
    expected = {"east": "updated", "north": "updated", "south": "declined"}
    assert [outcomes(line) for line in lines] == [expected] * 2
    assert lines[0]["sites"]["south"]["reason"] == SAID
    assert not lines[0]["sites"]["south"]["asked"]
    evaluated = lines[0]["evaluation"]["sites"]
    assert {site: each["outcome"] for site, each in evaluated.items()} == dict.fromkeys(
        expected, "evaluated"
    )
    assert run.nodes[3].asked == ["hello", *["evaluate 1", "evaluate 2", "evaluate 2"]]


def test_it_is_not_counted_among_the_sites_that_a_round_needs(tmp_path: Path) -> None:
    run = federation(tmp_path, minimum_sites=3)
    with pytest.raises(IreneError, match=rf"2 sites can serve .* needs 3 \(south: {SAID}\)"):
        run.run()
    assert run.folder.rounds() == []


def test_waiting_is_for_those_that_train() -> None:
    roll = roll_of(nodes_of({1: ready("north"), 2: evaluator("south")}), minimum=2)
    with pytest.raises(IreneError, match="1 sites can serve"):
        roll.wait(0, patience_s=0)
    roll = roll_of(nodes_of({1: ready("north"), 2: evaluator("south")}), minimum=1)
    roll.wait(2, patience_s=60)
    assert (roll.nodes, roll.trainers) == ([1, 2], [1])


def test_a_site_may_train_again() -> None:
    answers = [evaluator("south"), ready("south")]
    node = Node(lambda _: answers.pop(0))
    roll = roll_of({1: Node(lambda _: ready("north")), 2: node})
    roll.wait(2, patience_s=0)
    roll.missed(2, "no reply")
    roll.greet()
    assert roll.trainers == roll.nodes == [1, 2] and roll.not_training() == {}


def test_the_greeting_of_all_others_is_what_it_was() -> None:
    assert "only_evaluates" not in ready("north").to_flat().values
    flat = evaluator("south").to_flat()
    assert HelloReply.from_flat(flat) == evaluator("south")


@pytest.mark.parametrize("said", [-1.0, math.inf, math.nan, 1e12, "40", True])
def test_what_no_site_can_say_is_refused(said: object) -> None:
    flat = evaluator("south").to_flat()
    flat.values["only_evaluates"] = said  # type: ignore[assignment]
    with pytest.raises(ProtocolError, match="only_evaluates"):
        HelloReply.from_flat(flat)


def test_more_patients_than_the_study_allows_are_refused() -> None:
    roll = roll_of(nodes_of({1: ready("north"), 2: evaluator("south", 1e6)}))
    roll.study = study_of({"largest_cohort": 500.0, "minimum_sites": 1})
    roll.greet()
    assert roll.nodes == [1]
    assert "the study allows 500" in str(roll.absences())


def test_one_that_only_evaluates_never_outvotes_all_that_train() -> None:
    known = Declared(cohorts={"east": 100.0, "north": 300.0}, evaluators={"south": 1e9})
    assert known.most_held_out("south") == 2 * 400
    known.evaluators["south"] = 50.0
    assert known.most_held_out("south") == 100
    assert known.most_held_out("east") == 200

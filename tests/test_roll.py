"""Who takes part: asked once, named always. Real exchanges are in test_federation."""

from collections.abc import Iterator, Sequence
from typing import Any, cast

import pytest

from irene_model.errors import IreneError
from irene_model.protocol import HelloReply
from irene_model.study import Study
from server.exchange import Exchange, Reply
from server.roll import Roll
from tests.hospital_folder import STUDY


class PlayedExchange:
    """Nodes with what they say of themselves: a reply, or the reason for none."""

    def __init__(self, answers: dict[int, HelloReply | str]) -> None:
        self.answers = answers
        self.asked: list[int] = []

    def nodes(self) -> list[int]:
        return sorted(self.answers)

    def ask(self, nodes: Sequence[int], _request: Any, *, deadline_s: float) -> Iterator[Reply]:
        assert deadline_s > 0
        for node in nodes:
            self.asked.append(node)
            answer = self.answers[node]
            if isinstance(answer, str):
                yield Reply(node=node, flat=None, reason=answer, seconds=0.0)
            else:
                yield Reply(node=node, flat=answer.to_flat(), reason="", seconds=0.0)


def ready(site: str) -> HelloReply:
    return HelloReply(site=site, outcome="ready")


def roll_of(exchange: PlayedExchange, minimum: int = 1) -> Roll:
    federation = {**STUDY["federation"], "minimum_sites": minimum}
    study = Study.model_validate({**STUDY, "federation": federation})
    return Roll(exchange=cast(Exchange, exchange), study=study, run="r")


def test_sites_are_in_the_order_of_their_names() -> None:
    roll = roll_of(PlayedExchange({7: ready("west"), 9: ready("east")}))
    roll.wait(2, patience_s=0)
    assert roll.nodes == [9, 7] and roll.names == ["east", "west"] and roll.absences() == {}


def test_a_site_that_can_not_serve_is_asked_once_named_and_left_out() -> None:
    broken = HelloReply(site="south", outcome="failed", reason="the site's files were refused")
    exchange = PlayedExchange({1: ready("north"), 2: broken, 3: "the node went away"})
    roll = roll_of(exchange)
    roll.wait(3, patience_s=60)  # all three have come: nothing to be patient for
    roll.greet()
    assert exchange.asked == [1, 2, 3]
    assert roll.nodes == [1]
    assert roll.absences() == {
        "south": {"outcome": "failed", "reason": "the site's files were refused"},
        "node 3": {"outcome": "failed", "reason": "the node went away"},
    }


def test_too_few_sites_stop_the_run_and_say_why() -> None:
    declined = HelloReply(site="south", outcome="declined", reason="no patients to train on")
    roll = roll_of(PlayedExchange({1: ready("north"), 2: declined}), minimum=2)
    with pytest.raises(IreneError, match=r"1 sites can serve .* needs 2 .*south: no patients"):
        roll.wait(2, patience_s=0)


def test_a_site_that_goes_away_is_absent_until_it_comes_back_on_another_node() -> None:
    exchange = PlayedExchange({1: ready("north"), 2: ready("south")})
    roll = roll_of(exchange)
    roll.wait(2, patience_s=0)
    del exchange.answers[2]
    roll.greet()
    assert roll.names == ["north", "south"]
    assert roll.absences() == {
        "south": {"outcome": "absent", "reason": "the site is not connected"}
    }
    exchange.answers[5] = ready("south")
    roll.greet()
    assert roll.absences() == {} and roll.nodes == [1, 5]


def test_a_second_node_of_one_site_is_left_out() -> None:
    roll = roll_of(PlayedExchange({1: ready("north"), 2: ready("north")}))
    roll.wait(2, patience_s=0)
    assert roll.nodes == [1]
    assert "a second node says" in roll.absences()["node 2"]["reason"]


def test_an_answer_that_breaks_the_contract_ends_no_run() -> None:
    odd = HelloReply(site="south", outcome="ready").model_copy(update={"outcome": "odd"})
    roll = roll_of(PlayedExchange({1: ready("north"), 2: odd}))
    roll.wait(2, patience_s=0)
    assert roll.nodes == [1] and roll.absences()["node 2"]["outcome"] == "failed"

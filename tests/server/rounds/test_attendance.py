"""Who takes part: waited for by nobody, named always. Real exchanges are in test_federation."""

import json
from pathlib import Path

import pytest

from irene_model.errors import ConfigError, IreneError
from irene_model.exchange.replies import HelloReply
from irene_model.study.study import Study
from server.rounds import attendance as roll_module
from server.rounds.attendance import Roll
from server.rounds.enrolled_nodes import RegisterFile
from tests.helpers.direct_grid import Node, exchange_with
from tests.helpers.hospital_folder import STUDY

Played = dict[int, HelloReply | int]  # what a node says of itself, or Flower's error code


def nodes_of(answers: Played) -> dict[int, Node]:
    return {number: Node(lambda _, said=said: said) for number, said in answers.items()}


def ready(site: str) -> HelloReply:
    return HelloReply(site=site, outcome="ready")


def roll_of(nodes: dict[int, Node], minimum: int = 1, register: Path | None = None) -> Roll:
    federation = {**STUDY["federation"], "minimum_sites": minimum}
    study = Study.model_validate({**STUDY, "federation": federation})
    return Roll(
        exchange=exchange_with(nodes), study=study, run="r", register=RegisterFile(register)
    )


def reasons(roll: Roll) -> dict[str, tuple[str, str]]:
    assert not any(e["asked"] for e in roll.absences().values())
    return {site: (e["outcome"], e["reason"]) for site, e in roll.absences().items()}


GONE = ("absent", "the site is not connected")


def test_sites_are_in_the_order_of_their_names() -> None:
    roll = roll_of(nodes_of({7: ready("west"), 9: ready("east")}))
    roll.wait(2, patience_s=0)
    assert roll.nodes == [9, 7] and roll.names == ["east", "west"] and roll.absences() == {}


def test_a_site_that_can_not_serve_is_named_and_left_out() -> None:
    broken = HelloReply(site="south", outcome="failed", reason="the site's files were refused")
    nodes = nodes_of({1: ready("north"), 2: broken, 3: 8})
    roll = roll_of(nodes)
    roll.wait(3, patience_s=60)  # all three have come: nothing to be patient for
    roll.greet()
    assert [node.asked for node in nodes.values()] == [["hello"]] * 3  # soon is not now
    assert roll.nodes == [1]
    assert reasons(roll) == {
        "south": ("failed", "the site's files were refused"),
        "node 3": ("failed", "the client process crashed"),
    }


def test_a_site_that_waits_for_its_people_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(roll_module._AGAIN_S, "waiting", 0.0)
    said = [HelloReply(site="south", outcome="waiting", reason="not approved"), ready("south")]
    nodes = {1: Node(lambda _: ready("north")), 2: Node(lambda _: said.pop(0))}
    roll = roll_of(nodes)
    roll.greet()
    assert roll.nodes == [1] and reasons(roll) == {"south": ("waiting", "not approved")}
    roll.greet()
    assert roll.nodes == [1, 2] and reasons(roll) == {}


def test_too_few_sites_stop_the_run_and_say_why() -> None:
    declined = HelloReply(site="south", outcome="declined", reason="no patients to train on")
    roll = roll_of(nodes_of({1: ready("north"), 2: declined}), minimum=2)
    with pytest.raises(IreneError, match=r"1 sites can serve .* needs 2 .*south: no patients"):
        roll.wait(2, patience_s=0)


def test_a_site_that_goes_away_is_absent_until_it_comes_back_on_another_node() -> None:
    nodes = nodes_of({1: ready("north"), 2: ready("south")})
    roll = roll_of(nodes)
    roll.wait(2, patience_s=0)
    nodes[2].online = False
    roll.greet()
    assert roll.names == ["north", "south"] and reasons(roll) == {"south": GONE}
    nodes[5] = Node(lambda _: ready("south"))
    roll.greet()
    assert roll.absences() == {} and roll.nodes == [1, 5]


def test_a_site_that_missed_a_round_costs_nothing_until_it_answers() -> None:
    nodes = nodes_of({1: ready("north"), 2: ready("south")})
    roll = roll_of(nodes)
    roll.wait(2, patience_s=0)
    nodes[2].silent = {"hello"}
    roll.missed(2, "no reply in round 1")
    roll.greet()
    roll.greet()
    assert nodes[2].asked == ["hello", "hello"]  # one more greeting, that nobody waits for
    assert roll.nodes == [1]
    assert reasons(roll) == {"south": ("absent", "no reply in round 1; not asked since")}
    nodes[2].silent.clear()
    roll.greet()
    assert roll.nodes == [1, 2] and roll.absences() == {}


def test_a_second_node_of_one_site_is_left_out() -> None:
    roll = roll_of(nodes_of({1: ready("north"), 2: ready("north")}))
    roll.wait(2, patience_s=0)
    assert roll.nodes == [1]
    assert "a second node says" in roll.absences()["node 2"]["reason"]


def test_an_answer_that_breaks_the_contract_ends_no_run() -> None:
    odd = HelloReply(site="south", outcome="ready").model_copy(update={"outcome": "odd"})
    roll = roll_of(nodes_of({1: ready("north"), 2: odd}))
    roll.wait(2, patience_s=0)
    assert roll.nodes == [1] and roll.absences()["node 2"]["outcome"] == "refused"


def enrolled(path: Path, **sites: str | None) -> Path:
    entries = {
        name: {"node_id": node, "key_sha256": 64 * "0", "enrolled": "2026-11-25T07:00:00+00:00"}
        for name, node in sites.items()
    }
    path.write_text(json.dumps({"schema": 1, "sites": entries}), encoding="utf-8")
    return path


def test_every_enrolled_site_is_named_and_nobody_else_takes_part(tmp_path: Path) -> None:
    register = enrolled(tmp_path / "enrolled.json", north="1", south="2", east=None, west="9")
    nodes = nodes_of({1: ready("north"), 2: ready("north"), 3: ready("east"), 4: ready("zoo")})
    roll = roll_of(nodes, register=register)
    roll.greet()
    assert roll.nodes == [3, 1] and roll.names == ["east", "north", "south", "west"]
    assert reasons(roll) == {
        "south": ("refused", "the node says that it is a site that its key is not enrolled for"),
        "west": GONE,
        "node 4": ("refused", "the node says that it is a site that is not enrolled"),
    }


def test_a_site_may_be_enrolled_while_the_run_goes_on(tmp_path: Path) -> None:
    register = enrolled(tmp_path / "enrolled.json", north="1")
    roll = roll_of(nodes_of({1: ready("north")}), register=register)
    roll.greet()
    enrolled(register, north="1", south="2")
    assert roll.absences()["south"]["outcome"] == "absent"
    register.write_text("{half", encoding="utf-8")
    assert roll.names == ["north", "south"]  # a damaged file changes nothing
    with pytest.raises(ConfigError, match=r"enrolled\.json: can't be read as JSON"):
        RegisterFile(register)

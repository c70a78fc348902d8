"""A run of secure sums: what is summed, who is in it, and what a site that fails costs."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from irene_model.errors import ConfigError, IreneError
from irene_model.exchange.protocol import Flat
from irene_model.study.study import Study
from server.rounds.round_loop import RoundLoop
from server.runs.lines import Json
from server.runs.run_folder import RunFolder
from server.runs.waiting_note import sentence
from tests.helpers.direct_grid import Node, exchange_with
from tests.helpers.federations.masked_sites import MaskedSite, breaking, masked_sites, secure_study
from tests.helpers.federations.three_sites import outcomes

pytestmark = pytest.mark.usefixtures("hurried")
ALL = dict.fromkeys(("east", "north", "south", "west"), "updated")


class Run:
    """A run of four sites, which a test changes before it begins."""

    def __init__(self, path: Path, study: Study, value: float = 0.01) -> None:
        self.sites = masked_sites(study, value)
        self.nodes: dict[int, Node] = {n: s.node() for n, s in enumerate(self.sites.values(), 1)}
        self.folder = RunFolder.create(path / "run", study, seed=1)

    def node(self, name: str) -> Node:
        return self.nodes[1 + list(self.sites).index(name)]

    def fails(self, name: str, answer: Any, *attempts: tuple[int, int]) -> None:
        """`name` gives another `answer` in these (round, attempt) of training."""

        def when(flat: Flat) -> bool:
            asked = (flat.values.get("round"), flat.values.get("attempt"))
            return flat.values["kind"] == "train" and asked in attempts

        self.node(name).answer = breaking(self.sites[name], when, answer)

    def loop(self, **options: Any) -> RoundLoop:
        given = {"expected_sites": 4, "give_up": True, **options}
        return RoundLoop(exchange=exchange_with(self.nodes), folder=self.folder, **given)

    def lines(self, **options: Any) -> list[Json]:
        self.results = self.loop(**options).run()
        return self.folder.rounds()

    def moved(self, round: int) -> Any:
        before, after = (self.folder.load_checkpoint(r) for r in (round - 1, round))
        return after["head.bias"] - before["head.bias"]

    def attempts(self) -> list[tuple[int, int, int, str]]:
        """(round, attempt, partners, outcome) of training, from the line of each round."""
        return [
            (each["round"], each["attempt"], len(each["partners"]), each["outcome"])
            for line in self.folder.rounds()
            for each in line["secure"]
        ]


def secure(path: Path, **changes: Any) -> Run:
    return Run(path, secure_study({"round_deadline_s": 0.6, "rounds": 2, **changes}))


def test_an_undisturbed_run_steps_along_the_sum_over_the_expected_batch(tmp_path: Path) -> None:
    run = secure(tmp_path)
    lines = run.lines()
    assert [outcomes(line) for line in lines] == [ALL] * 2
    assert run.attempts() == [(1, 1, 4, "summed"), (2, 1, 4, "summed")]
    np.testing.assert_allclose(run.moved(1), -4 * 0.01 / 40, rtol=1e-4)
    assert all(site.sent[0][3] == tuple(ALL) for site in run.sites.values())
    (arm,) = run.results["arms"].values()
    assert arm["auroc"]["macro"] > 0.7 and arm["auroc"]["by_site"] == {}


def test_a_site_that_fails_costs_the_attempt_and_the_rest_repeat(tmp_path: Path) -> None:
    run = secure(tmp_path)
    run.fails("south", 8, (1, 1))
    lines = run.lines()
    assert run.attempts() == [(1, 1, 4, "aborted"), (1, 2, 3, "summed"), (2, 1, 4, "summed")]
    assert outcomes(lines[0]) == ALL | {"south": "failed"} and outcomes(lines[1]) == ALL
    assert lines[0]["secure"][0]["blamed"] == {"south": "the client process crashed"}
    np.testing.assert_allclose(run.moved(1), -3 * 0.01 / 40, rtol=1e-4)
    np.testing.assert_allclose(run.moved(2), -4 * 0.01 / 40, rtol=1e-4)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"attempt": 2}, "the reply is of another attempt"),
        ({"site": "east"}, "another site or another round"),
        ({"fingerprint": "0" * 64}, "of another study"),
        ({"arrays": {}}, "must hold the array 'sum'"),
        ({"arrays": {"sum": np.zeros(3, np.uint32)}}, "not uint32 of shape"),
        ({"arrays": {"sum": np.zeros(3, np.float32)}}, "a masked sum is float32"),
        ({"noise_multiplier": 0.5}, "noise multiplier is not the one"),
        ({"sample_rate": 0.5}, "sampling rate is not the one"),
        ({"rounds_charged": 3}, "counts more rounds than the study's 2"),
    ],
)
def test_a_reply_of_another_form_is_refused_by_name(
    tmp_path: Path, said: dict[str, Any], reason: str
) -> None:
    run = secure(tmp_path)
    run.fails("west", lambda reply: reply.model_copy(update=said), (2, 1))
    line = run.lines()[1]
    assert outcomes(line) == ALL | {"west": "refused"}
    assert reason in line["secure"][0]["blamed"]["west"]


def test_a_late_upload_is_in_no_sum(tmp_path: Path) -> None:
    run = secure(tmp_path)
    run.node("east").silent = {"train"}
    run.folder.update_info()  # nothing of it is remembered
    lines = run.lines(observe=lambda _: run.node("east").silent.clear())
    assert outcomes(lines[0]) == ALL | {"east": "missing"} and outcomes(lines[1]) == ALL
    assert [len(each["partners"]) for each in lines[0]["secure"]] == [4, 3]
    np.testing.assert_allclose(run.moved(1), -3 * 0.01 / 40, rtol=1e-4)


def test_where_too_few_are_left_it_stops_or_waits_and_never_uses_a_number_twice(
    tmp_path: Path,
) -> None:
    run = secure(tmp_path, minimum_sites=4)
    run.fails("south", 8, (1, 1), (1, 2))
    with pytest.raises(IreneError, match=r"fewer than 4 sites gave an update .*south: the client"):
        run.lines()
    run.folder = RunFolder.resume(run.folder.path)
    run.lines(give_up=False)
    assert run.attempts()[:3] == [(1, 1, 4, "aborted"), (1, 2, 4, "aborted"), (1, 3, 4, "summed")]
    numbers = [(what, at, n) for what, at, n, _ in run.sites["east"].sent]
    assert len(set(numbers)) == len(numbers)


def test_a_number_is_on_disk_before_anybody_is_asked(tmp_path: Path) -> None:
    run = secure(tmp_path)

    def dies(flat: Flat) -> Any:
        if flat.values["kind"] == "train":
            record = json.loads((run.folder.path / "attempts.jsonl").read_text())
            assert record["outcome"] == "begun" and record["partners"] == list(ALL)
            raise KeyboardInterrupt
        return run.sites["east"].answer(flat)

    run.node("east").answer = dies
    with pytest.raises(KeyboardInterrupt):
        run.lines()
    run.node("east").answer = run.sites["east"].answer
    run.folder = RunFolder.resume(run.folder.path)
    run.lines()
    assert run.attempts()[:2] == [(1, 1, 4, "begun"), (1, 2, 4, "summed")]


def test_a_sum_beyond_what_honest_sites_reach_is_refused_and_nobody_named(tmp_path: Path) -> None:
    run = secure(tmp_path)
    other = MaskedSite(run.folder.study, "north", 0.01)
    other.key = type(other.key).new()  # no mask that it adds is taken away again

    def lies(flat: Flat) -> Any:
        if flat.values["kind"] != "train":
            return run.sites["north"].answer(flat)
        reply = run.sites["north"].trained(flat)
        noise = np.random.default_rng(0).integers(2**32, size=reply.arrays["sum"].size)
        return reply.model_copy(update={"arrays": {"sum": noise.astype(np.uint32)}})

    run.node("north").answer = lies
    with pytest.raises(IreneError, match=r"the sum was refused: the sum's .* can't say which"):
        run.lines()
    with pytest.raises(IreneError, match="3 sums in a row were refused"):
        run.lines(give_up=False)
    assert run.folder.last_round == 0 and run.folder.rounds() == []
    said = sentence(run.folder.info["waiting"])
    assert "its sum was refused, the sum's" in said and "too few updates" not in said


def test_a_site_that_fails_again_and_again_costs_ever_fewer_attempts(tmp_path: Path) -> None:
    run = secure(tmp_path, rounds=8)
    run.fails("west", 8, *((r, 1) for r in range(1, 9)))
    lines = run.lines()
    aborted = [at for at, _, _, outcome in run.attempts() if outcome == "aborted"]
    assert aborted == [1, 2, 4, 8]
    assert lines[2]["sites"]["west"] | {"asked": False} == lines[2]["sites"]["west"]
    assert [outcomes(line)["west"] for line in lines] == ["failed"] * 8


def test_a_site_outside_the_roster_is_named_and_never_asked(tmp_path: Path) -> None:
    run = secure(tmp_path)
    stranger = MaskedSite(run.folder.study, "east")
    stranger.name = "other"
    run.nodes[9] = stranger.node()
    for line in run.lines(expected_sites=5):
        assert outcomes(line) == ALL | {"other": "absent"}
        assert "not in the study's roster" in line["sites"]["other"]["reason"]
    assert "train 1" not in run.nodes[9].asked


def test_without_a_roster_no_run_begins(tmp_path: Path) -> None:
    study = secure_study({"secure": {"colluding": 1, "patients": 400}})
    folder = RunFolder.create(tmp_path / "run", study, seed=1)
    with pytest.raises(ConfigError, match=r"federation\.secure\.roster: name the file"):
        RoundLoop(exchange=exchange_with({}), folder=folder)


def test_the_order_of_arrival_and_the_masks_change_nothing(tmp_path: Path) -> None:
    one, other = secure(tmp_path / "a"), secure(tmp_path / "b")
    other.nodes = dict(zip((9, 4, 2, 7), other.nodes.values(), strict=True))
    one.lines()
    other.lines()
    for name, array in one.folder.load_checkpoint(2).items():
        np.testing.assert_array_equal(array, other.folder.load_checkpoint(2)[name])

"""A node's pauses, by a clock that the test turns; and that Flower's loop is the one they fit."""

import importlib
from dataclasses import dataclass, field

import pytest

from client.gateway import pauses
from client.gateway.pauses import Pauses, known_loop, quicken


@dataclass
class Clock:
    """`pauses` in Flower's loop. answer_s: what the coordinator takes to answer a look."""

    answer_s: float = 0.01
    now: float = 1000.0
    slept: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def idle(self, pauses: Pauses, seconds: float) -> int:
        """So many looks for a message in so many seconds in which there is none."""
        end, before = self.now + seconds, len(self.slept)
        while self.now < end:
            self.now += self.answer_s
            pauses.sleep(3)
        return len(self.slept) - before


def test_flower_waits_where_and_as_long_as_this_was_written_for() -> None:
    """Fails where a new Flower has another loop: then rounds cost seconds more, until mended."""
    assert known_loop()


def test_a_node_in_a_round_asks_often_and_an_idle_one_as_seldom_as_flowers() -> None:
    clock = Clock()
    waits = Pauses(really_sleep=clock.sleep, now=lambda: clock.now)
    assert clock.idle(waits, 300) == pytest.approx(100, abs=2)
    waits.sleep(0.5)  # the client is at work
    assert clock.slept[-1] == 0.05
    assert clock.idle(waits, 6) == pytest.approx(19, abs=2)
    assert max(clock.slept[-19:]) <= 0.31
    clock.idle(waits, 600)
    assert clock.slept[-1] == 3
    assert clock.idle(waits, 300) == pytest.approx(100, abs=2)


def test_a_wait_for_a_long_training_looks_less_and_less() -> None:
    clock = Clock()
    waits = Pauses(really_sleep=clock.sleep, now=lambda: clock.now)
    while clock.now < 1060:
        waits.sleep(0.5)
    assert clock.slept[-1] == 0.5
    waits.sleep(3)
    waits.sleep(0.5)
    assert clock.slept[-1] == 0.05  # another message


def test_nodes_of_a_slow_coordinator_ask_seldomer() -> None:
    clock = Clock(answer_s=0.1)
    waits = Pauses(really_sleep=clock.sleep, now=lambda: clock.now)
    waits.sleep(0.5)
    clock.idle(waits, 20)
    assert clock.slept[-1] == pytest.approx(2.0)
    clock.answer_s = 10
    clock.idle(waits, 20)
    assert clock.slept[-1] == 3


def test_another_loop_keeps_its_own_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = importlib.import_module(pauses._LOOP)
    monkeypatch.setattr(loop, "_push_messages", lambda: None)
    own = loop.time
    assert not quicken()
    assert loop.time is own

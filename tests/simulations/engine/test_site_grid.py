"""The grid of a simulation, with processes that are functions: order, homes, deaths."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from flwr.app import ArrayRecord, ConfigRecord, Message, RecordDict

from server.rounds.exchange import Exchange
from simulations.engine.ray_sites import gpu_share
from simulations.engine.site_grid import SiteGrid


class Local:
    """A process that answers in a thread of this one, and notes for whom."""

    def __init__(self, before: Callable[[int], None] = lambda site: None) -> None:
        self.sites: list[int] = []
        self._before = before

    def answer(self, message: Message, site: int) -> Message:
        self.sites.append(site)
        self._before(site)
        content = RecordDict(
            {"arrays": ArrayRecord({}), "values": ConfigRecord({"site": f"s{site}"})}
        )
        return Message(content, reply_to=message)


@contextmanager
def grid_of(*processes: Local, count: int) -> Iterator[SiteGrid]:
    grid = SiteGrid(processes, count=count)
    yield grid
    grid.close()


def messages(grid: SiteGrid, *, sites: list[int] | None = None) -> list[Message]:
    nodes = list(grid.get_node_ids())
    return [
        Message(RecordDict({}), nodes[site], "train")
        for site in (range(len(nodes)) if sites is None else sites)
    ]


def ask(grid: SiteGrid, asked: list[Message]) -> list[Message]:
    return [reply for one in grid.push_messages(asked) for reply in grid.pull_messages([one])]


def test_every_message_has_the_reply_of_its_own_site() -> None:
    with grid_of(Local(), Local(), count=7) as grid:
        asked = messages(grid)
        replies = ask(grid, asked)
        told = [reply.content.config_records["values"]["site"] for reply in replies]
    assert told == [f"s{site}" for site in range(7)]
    for message, reply in zip(asked, replies, strict=True):
        assert reply.metadata.reply_to_message_id == message.metadata.message_id
        assert reply.metadata.src_node_id == message.metadata.dst_node_id


def test_a_reply_is_given_once_and_an_unknown_one_never() -> None:
    with grid_of(Local(), count=1) as grid:
        (identifier,) = grid.push_messages(messages(grid))
        assert len(list(grid.pull_messages([identifier]))) == 1
        assert list(grid.pull_messages([identifier, "other"])) == []


def test_a_site_stays_with_its_process() -> None:
    """Two messages at once, so that neither process is free for the other's site."""
    both = threading.Barrier(2, timeout=30)

    def meet(_site: int) -> None:
        both.wait()

    first, second = Local(meet), Local(meet)
    with grid_of(first, second, count=2) as grid:
        for _ in range(4):
            ask(grid, messages(grid))
    assert {len(set(process.sites)) for process in (first, second)} == {1}
    assert len(first.sites) == len(second.sites) == 4


def test_who_is_free_takes_what_waits_for_another() -> None:
    go_on = threading.Event()

    def hold(site: int) -> None:
        if site == 0:
            go_on.wait(30)

    slow = Local(hold)
    with grid_of(slow, count=3) as grid:
        identifiers = list(grid.push_messages(messages(grid, sites=[0, 1, 2])))
        threading.Thread(target=grid._serve, args=(quick := Local(),), daemon=True).start()
        for identifier in identifiers[1:]:
            assert list(grid.pull_messages([identifier]))
        assert sorted(quick.sites) == [1, 2]
        go_on.set()
        assert list(grid.pull_messages(identifiers[:1]))


def test_a_process_that_dies_costs_its_message_alone() -> None:
    def die(site: int) -> None:
        if site == 1:
            raise ConnectionError("killed")

    with grid_of(Local(die), count=3) as grid:
        replies = ask(grid, messages(grid))
    assert [reply.has_error() for reply in replies] == [False, True, False]
    assert replies[1].error.code == 8  # which the server calls a crash of the client


def test_the_servers_exchange_sees_all_sites_online() -> None:
    with grid_of(Local(), count=3) as grid:
        assert Exchange(grid, poll_s=0.0).nodes() == list(grid.get_node_ids())


@pytest.mark.parametrize("parallel", [1, 2, 3, 6, 7, 64])
@pytest.mark.parametrize("gpus", [0, 1, 2, 8])
def test_the_shares_of_gpus_fit(gpus: int, parallel: int) -> None:
    share = gpu_share(gpus, parallel)
    assert parallel * share <= gpus or gpus == share == 0
    assert share <= 1.0 and (gpus == 0 or share > 0.9 * min(1.0, gpus / parallel))

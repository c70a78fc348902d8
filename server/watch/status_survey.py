"""A look at the whole of a coordinator's folder. Changes nothing.

What needs an answer from somewhere is asked at once and in parallel: health by gRPC's protocol, the
gateway as a hospital would reach it, the nodes by Flower's own command, which takes seconds.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TypeVar

from irene_model.errors import ConfigError, DataError
from irene_model.operations import Health, probe, running, supervisor_of
from server.coordinator import (
    Control,
    ControlError,
    Coordinator,
    Enrolment,
    NodeStatus,
    RunRecord,
    days_left,
    problem_of,
    reach,
    read_certificate,
    read_record,
)
from server.watch.run_progress import RunProgress, read_progress, run_folders
from server.watch.status import SiteStatus, Status
from server.watch.verdict import judged

_T = TypeVar("_T")


def survey(coordinator: Coordinator, now: datetime | None = None) -> Status:
    """All that can be known of the coordinator's folder; takes a few seconds."""
    now = now or datetime.now(UTC)
    settings, loopback = coordinator.settings, coordinator.settings.loopback
    supervisor = supervisor_of(coordinator.state)
    enrolled, damage = _enrolled(coordinator)
    folders = run_folders(coordinator.path)
    runs = tuple(read_progress(folder, now=now, expected=tuple(enrolled)) for folder in folders)
    control, record = Control(coordinator), _record(coordinator, runs)
    with ThreadPoolExecutor() as pool:
        superlink = pool.submit(probe, f"127.0.0.1:{loopback.superlink_health}")
        superexec = pool.submit(probe, f"127.0.0.1:{loopback.superexec_health}")
        ca = coordinator.certificates / "ca.crt"
        gateway = pool.submit(reach, settings.hosts[0], settings.port, ca)
        ask = supervisor is not None and superlink.result() == "serving"
        nodes = pool.submit(_answer, control.nodes) if ask else None
        flower = pool.submit(_ended, control, record) if ask else None
    status = Status(
        place=str(coordinator.path),
        at=now,
        supervisor=supervisor,
        processes=running(coordinator.state),
        health={"superlink": superlink.result(), "superexec": superexec.result()},
        gateway=gateway.result(),
        address=settings.address,
        certificate_days=_certificate_days(coordinator, now),
        sites=_sites(enrolled, nodes.result() if nodes else None, runs[:1], now),
        runs=runs,
        flower=flower.result() if flower else None,
        problems=(*damage, *_database(coordinator, superlink.result())),
        warnings=tuple(_taken_up(record)),
    )
    return judged(status)


def _enrolled(coordinator: Coordinator) -> tuple[Mapping[str, str | None], tuple[str, ...]]:
    """Site -> its node's id; and what is wrong with the file or the journal."""
    try:
        coordinator.journal.entries()
        sites = Enrolment.read(coordinator.enrolled).sites
    except (ConfigError, DataError) as error:
        return {}, (str(error),)
    return {name: sites[name].node_id for name in sorted(sites)}, ()


def _database(coordinator: Coordinator, superlink: Health) -> Iterator[str]:
    """A damaged database ends the SuperLink again and again, and only its log would say so."""
    problem = None if superlink == "serving" else problem_of(coordinator.database)
    if problem is not None:
        yield problem


def _sites(
    enrolled: Mapping[str, str | None],
    nodes: Mapping[str, NodeStatus] | None,
    newest: Sequence[RunProgress],
    now: datetime,
) -> tuple[SiteStatus, ...]:
    parts = {site.name: site for run in newest for site in run.sites}
    found = []
    for name, node_id in enrolled.items():
        node = (nodes or {}).get(node_id or "")
        part = parts.get(name)
        seen = part.last_seen if part else None
        if node is not None:
            since = _moment(node.since)
            seen = now if node.online else max(filter(None, (seen, since)), default=None)
        online = node.online if node is not None else (None if nodes is None else False)
        found.append(SiteStatus(name=name, online=online, last_seen=seen, part=part))
    return tuple(found)


def _ended(control: Control, record: RunRecord | None) -> str | None:
    """How Flower says that a run ended which its folder says goes on."""
    if record is None or not record.handed:
        return None
    status = _answer(lambda: control.run(record.newest.flower_run))
    if status is None or not status.finished:
        return None
    return f"{status.status} {status.details}".strip()


def _record(coordinator: Coordinator, runs: Sequence[RunProgress]) -> RunRecord | None:
    """What the journal says of the newest run, while that goes on."""
    if not runs or not runs[0].active:
        return None
    try:
        return read_record(coordinator, runs[0].name)
    except DataError:
        return None  # told already


def _taken_up(record: RunRecord | None) -> Iterator[str]:
    """That it was lost and goes on: whoever left it to itself wants to know."""
    if record is not None and record.handed and record.newest.lost:
        newest = record.newest
        yield (
            f"run {record.name}: its process was lost ({newest.lost}), and it was taken up again "
            f"by itself on {newest.time} after round {newest.rounds_done}"
        )


def _answer(question: Callable[[], _T]) -> _T | None:
    try:
        return question()
    except ControlError:
        return None


def _certificate_days(coordinator: Coordinator, now: datetime) -> float | None:
    try:
        return min(
            days_left(read_certificate(coordinator.certificates / f"{name}.crt"), now)
            for name in ("ca", "server", "superlink")
        )
    except ConfigError:
        return None


def _moment(text: str | None) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)

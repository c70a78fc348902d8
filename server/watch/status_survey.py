"""A look at the whole of a coordinator's folder. Changes nothing.

What needs an answer from somewhere is asked at once and in parallel: health by gRPC's protocol, the
gateway as a hospital would reach it, the nodes by Flower's own command, which takes seconds.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TypeVar

from irene_model.errors import ConfigError, DataError
from irene_model.operations import probe, running, supervisor_of
from server.coordinator import (
    Control,
    ControlError,
    Coordinator,
    Enrolment,
    NodeStatus,
    days_left,
    reach,
    read_certificate,
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
    control = Control(coordinator)
    with ThreadPoolExecutor() as pool:
        superlink = pool.submit(probe, f"127.0.0.1:{loopback.superlink_health}")
        superexec = pool.submit(probe, f"127.0.0.1:{loopback.superexec_health}")
        ca = coordinator.certificates / "ca.crt"
        gateway = pool.submit(reach, settings.hosts[0], settings.port, ca)
        ask = supervisor is not None and superlink.result() == "serving"
        nodes = pool.submit(_answer, control.nodes) if ask else None
        flower = pool.submit(_ended, coordinator, control, runs) if ask else None
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
        problems=damage,
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


def _ended(coordinator: Coordinator, control: Control, runs: Sequence[RunProgress]) -> str | None:
    """How Flower says that the newest run ended, where its folder says that it goes on."""
    if not runs or not runs[0].active:
        return None
    try:
        entries = [json.loads(entry.content) for entry in coordinator.journal.entries()]
    except DataError:
        return None
    ids = [entry["flower_run"] for entry in entries if entry.get("run") == runs[0].name]
    status = _answer(lambda: control.run(str(ids[-1]))) if ids else None
    if status is None or not status.finished:
        return None
    return f"{status.status} {status.details}".strip()


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

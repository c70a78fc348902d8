"""What is broken in a status and how to mend it, and what to keep an eye on. Pure.

Problems make the command fail, so that a monitoring system wakes somebody. A hospital that is away,
or whose people have to act first, is no fault of the coordinator's machine: a warning.
"""

from collections.abc import Iterator
from dataclasses import replace

from irene_model.operations import Reach, keeps_ending
from server.watch.run_progress import RunProgress
from server.watch.status import Status

_SOON_DAYS, _MOST_LOST = 30, 10
_REMEDY: dict[Reach, str] = {
    "not the one that its certificate names": "; irene-server renew after a change of hosts",
    "not trusted by its CA": "; irene-server renew, then stop and start",
    "no gateway: what listens on the port speaks no TLS": "; another service has its port",
}
_UNSETTLED = ("waiting", "declined", "refused", "failed", "missing", "absent", "discarded")


def judged(status: Status) -> Status:
    """`status` with its problems and warnings, after those that it had already."""
    newest = status.runs[0] if status.runs else None
    problems = [*status.problems, *_of_processes(status)]
    warnings = [*status.warnings]
    days = status.certificate_days
    renew = f"irene-server renew {status.place}"
    if days is not None and days <= 0:
        problems.append(f"a certificate has ended: {renew}")
    elif days is not None and days < _SOON_DAYS:
        warnings.append(f"a certificate ends in {days:.0f} days: {renew}")
    if newest is not None:
        problems += _of_run(newest, status)
        warnings += _of_sites(newest)
    away = [site.name for site in status.sites if site.online is False]
    if away:
        warnings.append(f"not connected: {', '.join(away)}")
    return replace(status, problems=tuple(problems), warnings=tuple(warnings))


def _of_processes(status: Status) -> Iterator[str]:
    if status.supervisor is None:
        yield f"not started: irene-server start {status.place}"
        return
    for name, process in status.processes.items():
        health = status.health.get(name, "serving")
        if not process.alive:
            yield f"{name}: has ended and is being started again; see {status.place}/logs"
        elif keeps_ending(process, status.at):
            yield f"{name}: keeps ending, {process.restarts} restarts; see {status.place}/logs"
        elif health != "serving":
            yield f"{name}: {health}; see {status.place}/logs"
    if status.gateway != "serving":
        remedy = _REMEDY.get(status.gateway, "")
        yield f"the gateway at {status.address} is {status.gateway}{remedy}"


def _of_run(run: RunProgress, status: Status) -> Iterator[str]:
    again = f"irene-server run {status.place} --resume {run.name}"
    if run.active and status.flower is not None:
        yield f"run {run.name} has ended ({status.flower}); go on with {again}"
    elif run.state == "silent":
        yield f"run {run.name}: no news for longer than a round may take; see it with {again}"
    elif run.state == "stopped":
        yield f"run {run.name} was stopped: {run.detail}; go on with {again}"
    elif run.state == "unreadable":
        yield f"run {run.name}: {run.detail}"


def _of_sites(run: RunProgress) -> Iterator[str]:
    if run.state == "finished" and run.detail:
        yield f"run {run.name} ended early: {run.detail}"
    if run.lost:
        yield (
            f"run {run.name}: lost {'round' if len(run.lost) == 1 else 'rounds'} "
            f"{', '.join(map(str, run.lost[-_MOST_LOST:]))}: the checkpoints were damaged and no "
            "site can send its update again; the weights before stand in their place"
        )
    if run.state == "waiting":
        yield f"run {run.name}: {run.detail}"
    if not run.active:
        return
    for site in run.sites:
        if site.outcome in _UNSETTLED:
            yield f"site {site.name}: {site.outcome}{', ' if site.reason else ''}{site.reason}"

"""How a coordinator's folder stands at one moment: processes, gateway, sites, runs. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from irene_model.operations import Health, Reach, Running
from server.watch.run_progress import RunProgress
from server.watch.site_progress import SiteProgress


@dataclass(frozen=True, kw_only=True)
class SiteStatus:
    """An enrolled site. online: whether its node is connected, None where Flower gave no answer.

    last_seen: now for a connected one, else the last sign of it. part: its part in the newest run.
    """

    name: str
    online: bool | None
    last_seen: datetime | None
    part: SiteProgress | None


@dataclass(frozen=True, kw_only=True)
class Status:
    """One look. problems: what is broken, and how to mend it. warnings: what to keep an eye on.

    supervisor: its process, None where nothing was started. health: of SuperLink and SuperExec.
    address: what hospitals call the gateway. certificate_days: until the first certificate ends.
    flower: how Flower says that the newest run ended; None while it goes on, or where unknown.
    """

    place: str
    at: datetime
    supervisor: int | None
    processes: Mapping[str, Running]
    health: Mapping[str, Health]
    gateway: Reach
    address: str
    certificate_days: float | None
    sites: tuple[SiteStatus, ...]
    runs: tuple[RunProgress, ...]
    flower: str | None
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def well(self) -> bool:
        """Whether nothing is broken: the command's exit code."""
        return not self.problems

    def as_json(self) -> dict[str, Any]:
        """Plain mappings, lists and numbers; times as ISO 8601 in UTC."""
        return {
            "schema": 1,
            "folder": self.place,
            "at": _iso(self.at),
            "well": self.well,
            "problems": list(self.problems),
            "warnings": list(self.warnings),
            "supervisor": self.supervisor,
            "processes": {
                name: {
                    "alive": process.alive,
                    "pid": process.pid,
                    "started": process.started,
                    "restarts": process.restarts,
                    "health": self.health.get(name),
                }
                for name, process in self.processes.items()
            },
            "gateway": {"address": self.address, "reach": self.gateway},
            "certificate_days": self.certificate_days,
            "sites": {
                site.name: {
                    "online": site.online,
                    "last_seen": _iso(site.last_seen),
                    "outcome": site.part.outcome if site.part else None,
                    "reason": site.part.reason if site.part else "",
                    "epsilon": site.part.epsilon if site.part else None,
                    "epsilon_alone": site.part.epsilon_alone if site.part else None,
                }
                for site in self.sites
            },
            "runs": [_run_json(run) for run in self.runs],
        }


def _run_json(run: RunProgress) -> dict[str, Any]:
    return {
        "run": run.name,
        "study": run.study,
        "state": run.state,
        "detail": run.detail,
        "round": run.done,
        "rounds": run.rounds,
        "started": _iso(run.started),
        "last_news": _iso(run.last_news),
        "ended": _iso(run.ended),
        "seconds_a_round": run.seconds_a_round,
        "expected_end": _iso(run.expected_end),
        "asked_epsilon": run.asked_epsilon,
        "lost_rounds": list(run.lost),
        "sites": {
            site.name: {
                "outcome": site.outcome,
                "reason": site.reason,
                "last_seen": _iso(site.last_seen),
                "epsilon": site.epsilon,
                "epsilon_alone": site.epsilon_alone,
                "epsilon_left": site.left(run.asked_epsilon),
            }
            for site in run.sites
        },
    }


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="seconds") if moment else None

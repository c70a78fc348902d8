"""What a hospital's people have agreed to: the studies they approved, and whether they paused.

A study that nobody approved is kept as a request, so that it can be looked at and approved by its
name; until then, and while the site is paused, messages are answered with "waiting" before any
file is opened. Approval is of a fingerprint: one changed digit makes another study.
"""

import getpass
import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from client.site import Site
from irene_model.errors import ConfigError, DataError, ProtocolError
from irene_model.exchange import read_study
from irene_model.journal import Journal, private_folder, write_private
from irene_model.study import Study

_MOST_REQUESTS = 50  # a server may ask for any number of studies; the oldest requests go
_LARGEST_STUDY = 1_000_000  # characters
_DAMAGED = (OSError, ValueError, KeyError, TypeError, RecursionError)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A study that a server asked for. first: ISO time, UTC, of its first message."""

    study: Study
    first: str
    approved: bool

    @property
    def fingerprint(self) -> str:
        """The study's."""
        return self.study.fingerprint


@dataclass(frozen=True, kw_only=True)
class Consent:
    """One site's approvals, requests and pause, in `folder`; whoever changes them is journalled."""

    folder: Path
    journal: Journal

    @classmethod
    def of(cls, site: Site) -> "Consent":
        """In `.irene` beside site.yaml; the journal is beside the ledger."""
        return cls(folder=site.folder / ".irene", journal=journal_of(site))

    @property
    def paused(self) -> bool:
        """Whether the site takes part in nothing for now."""
        return (self.folder / "paused").exists()

    def refusal(self, study: Study) -> str | None:
        """Why nothing may be done for `study` now, in words that may leave the site; else None.

        A study that is asked for the first time is kept as a request.
        """
        if not self.approved(study.fingerprint):
            self._keep(study)
            return "the study waits for the approval of the site's people"
        return "the site's people have paused it" if self.paused else None

    def approved(self, fingerprint: str) -> bool:
        """Whether the study of this fingerprint was approved."""
        return fingerprint in self._approvals()

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """Those of all approved studies."""
        return tuple(self._approvals())

    def approve(self, study: Study) -> None:
        """Approve `study`, which the site then serves whenever it is asked."""
        self.journal.append(
            "study approved", who=user(), study=study.name, fingerprint=study.fingerprint
        )
        entry = {"name": study.name, "approved": _now(), "who": user()}
        self._write("approvals.json", {**self._approvals(), study.fingerprint: entry})

    def withdraw(self) -> int:
        """Withdraw all approvals, and the pause with them; returns how many there were."""
        count = len(self._approvals())
        self._write("approvals.json", {})
        (self.folder / "paused").unlink(missing_ok=True)
        return count

    def pause(self) -> bool:
        """Answer "waiting" to whatever comes next; False where that was so already."""
        if self.paused:
            return False
        self.journal.append("site paused", who=user())
        self._write("paused", {"since": _now(), "who": user()})
        return True

    def resume(self) -> bool:
        """Serve again; False where the site was not paused."""
        if not self.paused:
            return False
        self.journal.append("site resumed", who=user())
        (self.folder / "paused").unlink(missing_ok=True)
        return True

    def requests(self) -> list[Asked]:
        """All studies that were asked for, the oldest first."""
        found = []
        for path in (self.folder / "requests").glob("*.json"):
            try:
                kept = json.loads(path.read_text(encoding="utf-8"))
                study, first = read_study(kept["study"]), str(kept["first"])
            except (*_DAMAGED, ConfigError, ProtocolError):
                continue  # removed meanwhile, or of another version: it is asked for again
            approved = self.approved(study.fingerprint)
            found.append(Asked(study=study, first=first, approved=approved))
        return sorted(found, key=lambda asked: asked.first)

    def find(self, wanted: str) -> Study:
        """The request whose name is `wanted`, or whose fingerprint begins so.

        Raises ConfigError where there is none, or more than one.
        """
        asked = self.requests()
        found = [a for a in asked if a.study.name == wanted or _begins(a, wanted)]
        if len(found) == 1:
            return found[0].study
        if found:
            several = ", ".join(a.fingerprint[:12] for a in found)
            raise ConfigError(f"{wanted}: more than one study was asked for so: {several}")
        names = ", ".join(f"{a.study.name} ({a.fingerprint[:12]})" for a in asked) or "none"
        raise ConfigError(
            f"{wanted}: is no file, and no study that was asked for begins so; asked for: {names}"
        )

    def _keep(self, study: Study) -> None:
        path = self.folder / "requests" / f"{study.fingerprint}.json"
        if path.exists() or len(study.canonical) > _LARGEST_STUDY:
            return
        self._write(f"requests/{path.name}", {"study": study.canonical, "first": _now()})
        kept = sorted(path.parent.glob("*.json"), key=lambda each: each.stat().st_mtime)
        for old in kept[:-_MOST_REQUESTS]:
            old.unlink(missing_ok=True)

    def _approvals(self) -> dict[str, dict[str, str]]:
        path = self.folder / "approvals.json"
        try:
            studies = json.loads(path.read_text(encoding="utf-8"))["studies"]
        except FileNotFoundError:
            return {}
        except _DAMAGED:
            studies = None
        if not isinstance(studies, dict):
            raise DataError(f"{path}: can't be read; move it away and approve again")
        return studies

    def _write(self, name: str, content: dict[str, object]) -> None:
        """Whole or not at all, and readable by its owner alone: a node may read meanwhile."""
        path = self.folder / name
        private_folder(self.folder)
        private_folder(path.parent)
        document = {"schema": 1, "studies": content} if name == "approvals.json" else content
        text = json.dumps(document, indent=1)
        write_private(path, text.encode(), part=f"{os.getpid()}.part")


def _begins(asked: Asked, wanted: str) -> bool:
    return len(wanted) >= 4 and asked.fingerprint.startswith(wanted)


def journal_of(site: Site) -> Journal:
    """The site's journal, which lies beside its ledger."""
    return Journal(site.resolve(site.ledger).with_name("journal.jsonl"))


def user() -> str:
    """Who acts, for the journal."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        return f"uid {os.getuid()}"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")

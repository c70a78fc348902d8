"""The part of study.yaml that asks for secure sums: who takes part, and against whom they hold.

Sites mask what they send, so that the coordinator sees the sum over all of them and nothing of one,
and each adds a share of the noise. See docs/privacy.md.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field, field_validator

from irene_model.study.names import SiteName
from irene_model.study.settings import GrownSettings, Settings, parse, read_mapping

MOST_SECURE_SITES = 50
"""Pairs grow with the square of sites."""
LEAST_HONEST = 2
"""Sites whose noise must remain beside those that collude: with one there is no gain."""

_Key = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Member(Settings):
    """A site of the roster. `node_key` is the sha256 of its node's public key, which the
    coordinator enrols; `mask_key` its public X25519 key, by which it agrees with each other site.
    """

    name: SiteName
    node_key: _Key
    mask_key: _Key


class Roster(Settings):
    """Who takes part, under keys that hospitals compare among themselves."""

    members: tuple[Member, ...] = Field(min_length=1, max_length=MOST_SECURE_SITES)

    @field_validator("members")
    @classmethod
    def _each_is_another(cls, members: tuple[Member, ...]) -> tuple[Member, ...]:
        for field in ("name", "node_key", "mask_key"):
            values = [getattr(member, field) for member in members]
            if len(set(values)) < len(values):
                raise ValueError(f"two members have the same {field}")
        return tuple(sorted(members, key=lambda member: member.name))

    @property
    def fingerprint(self) -> str:
        """sha256 of the members in the order of their names, in hex: what hospitals compare."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def among(self, names: Sequence[str]) -> tuple[Member, ...]:
        """The members called `names`, in the roster's order; KeyError for one that is not in it."""
        known = {member.name: member for member in self.members}
        return tuple(known[name] for name in sorted(names))


class Secure(GrownSettings):
    """Sums that hide each site, for 3 to 50 sites that are always on.

    Noise holds against the coordinator together with any `colluding` sites. `patients` is the
    public number of training patients of all sites together: every site samples each of its own at
    the rate `training.expected_batch` / `patients`, and a sum is divided by the expected batch.

    `roster` in study.yaml is the path of the roster's file, whose members stand in its place in
    what sites are sent and approve. A simulation makes its own.
    """

    later: ClassVar[frozenset[str]] = frozenset({"roster"})
    colluding: int = Field(default=1, ge=1, le=MOST_SECURE_SITES)
    patients: int = Field(ge=1)
    roster: Roster | None = None


def with_roster(study: Any, folder: Path) -> Any:
    """A study's document with the roster's members in place of the path of their file."""
    federation = study.get("federation") if isinstance(study, dict) else None
    if not isinstance(federation, dict) or not isinstance(federation.get("secure"), dict):
        return study
    secure: dict[str, Any] = federation["secure"]
    if not isinstance(secure.get("roster"), str):
        return study
    path = folder / secure["roster"]
    roster = parse(Roster, read_mapping(path), path)
    secure = {**secure, "roster": roster.model_dump(mode="json")}
    return {**study, "federation": {**federation, "secure": secure}}

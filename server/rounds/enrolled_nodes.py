"""The sites that the coordinator enrolled, and the node that each one's key belongs to.

`enrolled.json` is written by `irene-server enroll`; it is read again at every greeting, so that a
hospital may be enrolled while a run goes on. Without one (simulations and loose set-ups) every
site that comes is believed.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from irene_model.errors import ConfigError, ProtocolError

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Register:
    """sites: name -> node id of its key, None where Flower told none at the registration."""

    sites: Mapping[str, int | None] = field(default_factory=dict)
    closed: bool = False  # whether a site that is not here is refused

    @classmethod
    def read(cls, path: Path) -> "Register":
        """Read enrolled.json; a file of another form is a ConfigError."""
        from server.coordinator import Enrolment  # certificates and all: a simulation needs none

        sites = {
            name: None if site.node_id is None else int(site.node_id)
            for name, site in Enrolment.read(path).sites.items()
        }
        return cls(sites=sites, closed=True)

    def site_of(self, node: int) -> str | None:
        """The site that `node`'s key was enrolled for, where that is known."""
        return next((site for site, own in self.sites.items() if own == node), None)

    def check(self, site: str, node: int) -> None:
        """Raise ProtocolError where `node` may not speak for `site`."""
        if not self.closed:
            return
        if site not in self.sites:
            raise ProtocolError("the node says that it is a site that is not enrolled")
        owner, expected = self.site_of(node), self.sites[site]
        if owner not in (None, site) or expected not in (None, node):
            raise ProtocolError("the node says that it is a site that its key is not enrolled for")


class RegisterFile:
    """enrolled.json as it is now; one that is damaged while a run goes on changes nothing."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._last = Register() if path is None else Register.read(path)

    def now(self) -> Register:
        """The register, read anew."""
        if self._path is not None:
            try:
                self._last = Register.read(self._path)
            except ConfigError as error:
                _log.error("%s; going on with what it said before", error)
        return self._last

"""The sites of a run, which travel to each process once and not with each message."""

from collections.abc import Sequence
from typing import Any

from client.site import Site

_FETCHED: dict[str, Sequence[Site]] = {}


class SharedSites:
    """All sites, in the engine's object store; what is pickled is where they lie there."""

    def __init__(self, sites: Sequence[Site]) -> None:
        """Ray must run."""
        import ray

        self._where: Any = ray.put(tuple(sites))

    def __getitem__(self, number: int) -> Site:
        key = self._where.hex()
        if key not in _FETCHED:
            import ray

            _FETCHED[key] = ray.get(self._where)
        return _FETCHED[key][number]

"""Masked vectors to their sum modulo 2^32, one vector in memory at a time.

A vector says nothing by itself, so it is judged by its form alone. Once all partners' are added the
masks cancel, and the sum is read on the study's grid (`irene_model.secure`).
"""

from collections.abc import Mapping

from irene_model.errors import ProtocolError
from irene_model.exchange import Array
from irene_model.secure import Grid, add, check_masked, empty


class MaskedSum:
    """The sum of one attempt so far."""

    def __init__(self, dimensions: int) -> None:
        """dimensions: D, of every vector."""
        self.sites: set[str] = set()
        self._total = empty(dimensions)

    def add(self, site: str, arrays: Mapping[str, Array]) -> None:
        """Add the vector of `site`, (D,) uint32 "sum" alone; else a ProtocolError, nothing added.

        A site is added once.
        """
        if site in self.sites:
            raise ProtocolError("the site's vector is in the sum already")
        if set(arrays) != {"sum"}:
            raise ProtocolError("the reply must hold the array 'sum' and no other")
        check_masked(arrays["sum"], self._total.size)
        add(self._total, arrays["sum"])
        self.sites.add(site)

    def read(self, grid: Grid) -> Array:
        """(D,) float64: what the vectors of all partners add up to."""
        decoded: Array = grid.decode(self._total)
        return decoded

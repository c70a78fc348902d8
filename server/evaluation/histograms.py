"""What one site sent of its scores: histograms, exact or noised, and which labels are there."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from irene_model.errors import ProtocolError
from irene_model.exchange import LABEL_ABSENT, LABEL_SENT, LABEL_WITHHELD, EvaluateReply
from irene_model.metrics import BINS, COARSE_BINS, Array, coarsen


@dataclass(frozen=True, kw_only=True)
class SiteHistograms:
    """What one site sent. deviation: of the normal noise in each cell; 0 where it is exact.

    histograms: (K, 2, BINS), or (K, 2, COARSE_BINS) with noise. labels: (K,), LABEL_SENT and its
    like; the others' histograms are zeros and hold no noise either.
    """

    histograms: Array
    labels: Array
    deviation: float = 0.0

    @classmethod
    def read(cls, site: str, reply: EvaluateReply, n_labels: int) -> Self:
        """A site's answer; a ProtocolError where its arrays break the contract."""
        hist = np.asarray(reply.arrays.get("histograms", np.empty(0)))
        labels = np.asarray(reply.arrays.get("labels", np.empty(0)))
        if set(reply.arrays) - {"histograms", "labels"}:
            raise ProtocolError(f"site {site}: arrays beside histograms and labels")
        shape = (n_labels, 2, COARSE_BINS if reply.deviation else BINS)
        if hist.shape != shape or labels.shape != (n_labels,):
            raise ProtocolError(
                f"site {site}: histograms of shape {hist.shape} for {labels.size} labels, expected "
                f"{shape}"
            )
        if not np.isin(labels, (LABEL_SENT, LABEL_ABSENT, LABEL_WITHHELD)).all():
            raise ProtocolError(f"site {site}: a label is neither sent, absent nor withheld")
        hist, labels = hist.astype(np.float64), labels.astype(np.int8)
        if not np.all(np.isfinite(hist)):
            raise ProtocolError(f"site {site}: a histogram holds a weight that is not finite")
        if not reply.deviation and np.any(hist < 0):
            raise ProtocolError(f"site {site}: a histogram without noise holds negative weights")
        if np.any(hist[labels != LABEL_SENT] != 0):
            raise ProtocolError(f"site {site}: a label that is not there has a histogram")
        return cls(histograms=hist, labels=labels, deviation=reply.deviation)

    def withheld(self, labels: Sequence[str]) -> list[str]:
        """The labels that too few patients have, or have not."""
        return [
            name for name, sent in zip(labels, self.labels, strict=True) if sent == LABEL_WITHHELD
        ]

    def coarse(self, prior: float) -> Array:
        """(K, 2, COARSE_BINS)."""
        return self.histograms if self.deviation else coarsen(self.histograms, prior)

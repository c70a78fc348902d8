"""Writes accountants.json: epsilon by Google's dp-accounting, an independent implementation.

It can't be installed beside this project (it asks for attrs below 24), so it runs in an
environment of its own, with Python 3.11: `pip install dp-accounting==0.6.0`, then
`python tests/golden/accountants.py`.
"""

import json
from pathlib import Path

from dp_accounting import (
    ComposedDpEvent,
    GaussianDpEvent,
    PoissonSampledDpEvent,
    SelfComposedDpEvent,
)
from dp_accounting.pld import PLDAccountant
from dp_accounting.rdp import RdpAccountant

# This project's orders: dp-accounting's own are sparse where epsilon is large.
ORDERS = [1.25, 1.5, 1.75, *(x / 10 for x in range(20, 110)), *range(11, 64), 80, 128, 256, 512]
SINGLE = [
    [(noise, rate, steps)]
    for noise in (0.7, 1.0, 2.0, 8.0)
    for rate in (0.01, 0.1, 0.5, 1.0)
    for steps in (1, 20, 500)
]
MIXED = [[(1.1, 0.05, 40), (0.9, 0.02, 30)], [(4.0, 0.3, 100), (1.5, 0.01, 7), (2.0, 1.0, 1)]]


def main() -> None:
    """One case for each composition and delta."""
    cases = []
    for mechanisms in (*SINGLE, *MIXED):
        for delta in (1e-3, 1e-5, 1e-6):
            event = ComposedDpEvent(
                [
                    SelfComposedDpEvent(PoissonSampledDpEvent(rate, GaussianDpEvent(noise)), steps)
                    for noise, rate, steps in mechanisms
                ]
            )
            rdp, pld = RdpAccountant(ORDERS).compose(event), PLDAccountant().compose(event)
            cases.append(
                {
                    "mechanisms": mechanisms,
                    "delta": delta,
                    "rdp": rdp.get_epsilon(delta),
                    "pld": pld.get_epsilon(delta),
                }
            )
    lines = ",\n".join(json.dumps(case) for case in cases)
    Path(__file__).with_suffix(".json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()

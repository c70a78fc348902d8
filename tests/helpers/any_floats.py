"""Every kind of float, and what is said or drawn of it."""

import io
from typing import Any

from hypothesis import strategies as st
from rich.console import Console

EXTREME = [
    float("nan"), float("inf"), float("-inf"), 0.0, -0.0, 5e-324, -5e-324, 1e-300, 1.0, -5.0,
    0.999999999999, 1e6, 1e15, 1e300, -1e300, 1.7976931348623157e308, -1.7976931348623157e308,
]  # fmt: skip
ANY = st.one_of(st.sampled_from(EXTREME), st.floats(), st.floats(-10, 10))


def said_by(show: Any) -> str:
    """What `show` prints on the console that it is given."""
    console = Console(width=120, record=True, file=io.StringIO())
    show(console)
    return console.export_text()

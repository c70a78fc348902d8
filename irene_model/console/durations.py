"""Durations in words, for people at a terminal."""

from datetime import datetime


def span(seconds: float) -> str:
    """42 s, 17 min, 5.2 h, 3 days."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 100 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.0f} days"


def ago(moment: datetime, now: datetime) -> str:
    """How long before `now`; "now" where it is no second."""
    seconds = (now - moment).total_seconds()
    return f"{span(seconds)} ago" if seconds >= 1 else "now"

"""What a run that waits says of itself in run.json: for whom, why, and since when. Pure."""

from collections.abc import Mapping
from typing import Any

Json = Mapping[str, Any]
_HERE = ("ready", "updated")


def waiting(
    before: Json | None,
    sites: Json,
    *,
    round: int,
    attempts: int,
    now: str,
    again: str | None,
    refused: str = "",
) -> dict[str, Any]:
    """`waiting` of run.json at the time `now`; `before` is what it was.

    sites: what became of each, with outcome and reason. attempts: how often the round had too few
    updates; 0 where sites are still awaited before it. again: when it is tried again. refused: why
    a secure sum was, of which no site can be named.
    """
    before = before if before and before.get("round") == round else {}
    known = before.get("sites", {})

    def since(site: str, entry: Json) -> str:
        earlier = known.get(site, {})
        return str(earlier.get("since", now)) if _same(earlier, entry) else now

    return {
        "round": round,
        "attempts": attempts,
        "since": before.get("since", now),
        "next": again,
        **({"refused": refused} if refused else {}),
        "sites": {site: {**each, "since": since(site, each)} for site, each in sites.items()},
    }


def sentence(told: Json) -> str:
    """`told`, which `waiting` gave, for people."""
    sites = [
        f"{site} ({each['outcome']}{_reason(each)}{_since(each)})"
        for site, each in told["sites"].items()
        if each["outcome"] not in _HERE
    ]
    missing = f"; it waits for {', '.join(sites)}" if sites else ""
    if not told.get("attempts"):
        return f"round {told['round']} has not begun{_since(told)}{missing}"
    if told.get("refused"):
        return (
            f"round {told['round']} is tried again by itself{_since(told)}: its sum was refused, "
            f"{told['refused']}"
        )
    return (
        f"round {told['round']} had too few updates, {told['attempts']} times{_since(told)}, and "
        f"is tried again by itself{missing}"
    )


def _same(earlier: Json, entry: Json) -> bool:
    return all(earlier.get(key) == entry.get(key) for key in ("outcome", "reason"))


def _reason(entry: Json) -> str:
    return f": {entry['reason']}" if entry.get("reason") else ""


def _since(entry: Json) -> str:
    return f" since {entry['since']}" if entry.get("since") else ""

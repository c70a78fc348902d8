"""The roster as a hospital's people see it before they approve a study with secure sums."""

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from client.secure.membership import Membership

_GROUP = 4  # digits, as one reads them out


def show_roster(membership: Membership, console: Console) -> None:
    """Who takes part under which keys, and what to compare by telephone."""
    roster = membership.roster
    table = Table(
        title="Roster: whose sums are added up", title_justify="left", title_style="bold",
        box=box.SIMPLE_HEAD,
    )  # fmt: skip
    table.add_column("site", no_wrap=True)
    for column in ("mask key", "node key (sha256)"):
        table.add_column(column, overflow="fold")
    for member in roster.members:
        here = " (you)" if member.name == membership.name else ""
        table.add_row(escape(member.name) + here, member.mask_key, member.node_key)
    console.print(table)
    for line in (
        f"Roster fingerprint {read_out(roster.fingerprint)}",
        "Your own mask key in it is right. Compare the fingerprint with each of the other "
        "hospitals, by telephone say, and not with the coordinator: whoever swaps their keys can "
        "read what you send.",
    ):
        console.print(line, highlight=False)


def read_out(fingerprint: str) -> str:
    """In groups, as one reads it out."""
    starts = range(0, len(fingerprint), _GROUP)
    return " ".join(fingerprint[start : start + _GROUP] for start in starts)

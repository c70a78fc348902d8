"""How many keys of two tables have a partner, and whether that is enough to go on."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from client.joins.causes import Cause, likely_cause

# Keys that are in both tables, of those in the smaller one: two lists of the same hospital's
# patients or records share most, and what shares less is rather a wrong column.
USUAL_SHARE = 0.5
# Single ids are mistyped everywhere; so many alike were spoilt by a program.
_SPOILT = 0.02
NO_RECORD = "no record has its key"  # why a row is rejected


@dataclass(frozen=True, kw_only=True)
class JoinCounts:
    """Partners on both sides of one join, in distinct keys.

    key: where site.yaml names the table. on: the column of keys. keys, table_keys: of the records
    and of the table. partners: keys in both. cause: how others nearly have one.
    """

    key: str
    table: str
    on: str
    keys: int
    table_keys: int
    partners: int
    cause: Cause | None = None

    @property
    def share(self) -> float:
        """Partners of the keys of the smaller side; 0 where a side has none."""
        smaller = min(self.keys, self.table_keys)
        return self.partners / smaller if smaller else 0.0

    def doubt(self) -> str | None:
        """What a hospital should look at though the join is good enough."""
        if self.cause is None or not (self.cause.sure or _many(self.cause, self)):
            return None
        said = self.cause.said if self.cause.sure else f"{self.cause.said}, if they are one's"
        return f"{self.table}, joined by '{self.on}' ({self.key}): {said}"


def _many(cause: Cause, counts: JoinCounts) -> bool:
    return cause.near > max(1, _SPOILT * min(counts.keys, counts.table_keys))


@dataclass(frozen=True, kw_only=True)
class TableRows:
    """What became of each row of a table: rows = used + excluded + all that are rejected.

    excluded: belongs to a record that site.yaml leaves out. rejected: reason -> rows.
    """

    table: str
    key: str
    rows: int
    used: int
    excluded: int
    rejected: Mapping[str, int]


@dataclass(kw_only=True)
class Account:
    """What became of all rows; filled while the tables are read.

    codes: LOINC code that the study does not ask for -> rows of the laboratory table.
    other_codes: its rows whose code is none of LOINC's. code_doubt: what they may be.
    excluded_images: those that records name which site.yaml leaves out. cells: what was read as
    something else than it says -> how often. doubts: what looks wrong, found while reading.
    """

    joins: list[JoinCounts] = field(default_factory=list)
    tables: list[TableRows] = field(default_factory=list)
    codes: dict[str, int] = field(default_factory=dict)
    other_codes: int = 0
    code_doubt: str | None = None
    excluded_images: list[Path] = field(default_factory=list)
    cells: dict[str, int] = field(default_factory=dict)
    doubts: list[str] = field(default_factory=list)

    def count_cells(self, what: str, times: int) -> None:
        """Add to `cells`; what never occurred is not told."""
        if times:
            self.cells[what] = self.cells.get(what, 0) + times


def count_partners(
    ours: Collection[str], theirs: Collection[str], *, key: str, table: str, on: str
) -> JoinCounts:
    """The counts of one join, of keys as `compared` gives them; empty ones are none."""
    left, right = set(ours) - {""}, set(theirs) - {""}
    return JoinCounts(
        key=key,
        table=table,
        on=on,
        keys=len(left),
        table_keys=len(right),
        partners=len(left & right),
        cause=likely_cause(left - right, right - left),
    )


def judge(counts: JoinCounts, least: float | None, others: Iterable[str] = ()) -> str | None:
    """Why the join is refused, or None.

    least: the share that site.yaml asks for under `matched`; None is the usual one, and then keys
        that a program has spoilt are refused as well.
    others: further columns of the records that hold the table's keys.
    """
    cause, smaller = counts.cause, min(counts.keys, counts.table_keys)
    spoilt = cause is not None and cause.sure and _many(cause, counts)
    share = USUAL_SHARE if least is None else least
    if counts.share >= share and not (least is None and spoilt):
        return None
    other = next(iter(others), None)
    if other is not None:
        said = f"most of the table's keys stand in column '{other}' of the records"
    elif cause is not None and cause.near > _SPOILT * smaller:
        said = cause.said
    else:
        said = f"is '{counts.on}' the right column in both?"
    return (
        f"{counts.partners} of {smaller} keys have a partner (the records have {counts.keys}, the "
        f"table {counts.table_keys}): {said}. If so few belong together, say so by "
        f"{counts.key}.matched: {max(0.0, counts.share - 0.005):.2f}"
    )

"""The tables of figures in the documentation: where they stand, and what they say."""

import re
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
PAGES = (CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").glob("*.md")))
_FIGURE = re.compile(r"^[~<≤≥±+−-]?\s?\d")
NUMBER = re.compile(r"(?<![\w.])[+−-]?\d[\d,]*(?:\.\d+)?(?:[eE]-?\d+)?(?!\w)")


@dataclass(frozen=True, kw_only=True)
class Table:
    """page: from the checkout. line: of its heading, from 1. section: the last title above it."""

    page: str
    line: int
    section: str
    heading: str
    rows: tuple[tuple[str, ...], ...]
    around: str

    @property
    def of_figures(self) -> bool:
        """Whether most of its cells, but for the first column's, begin with a number."""
        cells = [cell for row in self.rows for cell in row[1:] if cell]
        return bool(cells) and 2 * sum(bool(_FIGURE.match(cell)) for cell in cells) > len(cells)

    @property
    def name(self) -> str:
        """As the list of commands calls it."""
        return f"{self.page}: {self.heading}"


def tables() -> list[Table]:
    """All of them, in the order of the pages. `around`: the whole section that it stands in."""
    return [table for page in PAGES for table in tables_of(page, CHECKOUT)]


def tables_of(page: Path, checkout: Path) -> list[Table]:
    """Those of one page within `checkout`."""
    lines = page.read_text(encoding="utf-8").splitlines()
    found, number = [], 0
    titles = [n for n, line in enumerate(lines) if re.match(r"#{1,6} ", line)] + [len(lines)]
    while number < len(lines) - 1:
        if not (lines[number].startswith("|") and re.match(r"^\|[\s:|-]+\|$", lines[number + 1])):
            number += 1
            continue
        after = (n for n in range(number, len(lines)) if not lines[n].startswith("|"))
        end = next(after, len(lines))
        first = max((n for n in titles if n < number), default=0)
        last = min(n for n in titles if n > number)
        found.append(
            Table(
                page=str(page.relative_to(checkout)),
                line=number + 1,
                section=lines[first].lstrip("# "),
                heading=" | ".join(_cells(lines[number])).strip(),
                rows=tuple(tuple(_cells(line)) for line in lines[number + 2 : end]),
                around="\n".join(lines[first:last]),
            )
        )
        number = end
    return found


def _cells(line: str) -> list[str]:
    return [cell.strip().replace("**", "") for cell in line.strip().strip("|").split("|")]


def numbers(text: str) -> list[float]:
    """All numbers in `text`; a minus may be typographic, thousands may have commas."""
    return [float(n.replace("−", "-").replace(",", "")) for n in NUMBER.findall(text)]

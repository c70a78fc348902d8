"""The alphabet and the length of every name and sentence that comes from another side.

What is a name of the one side becomes a line in a log, a row of a page, a label of a metric or a
part of a path at the other. So a name is letters and digits, and a sentence is one printable line:
no line break, no control character or escape, nothing that turns the direction of writing, and
never more than a few hundred characters. Whoever writes a sentence brings it into that form
(`one_line`); whoever reads another one refuses it.
"""

import logging
import re
from typing import Annotated

from pydantic import AfterValidator, Field

LONGEST_REASON = 400
_LONGEST_LINE = 2000  # of a log: a sentence of ours that quotes several reasons
MOST_PANELS, MOST_LABELS = 1000, 1000
_RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def one_line(text: str, most: int = LONGEST_REASON) -> str:
    """`text` as one printable line of at most `most` characters."""
    start = text[: 4 * most]  # what is left out anyhow is not looked at: it may be megabytes
    line = " ".join("".join(c if c.isprintable() else " " for c in start).split())
    return line if len(line) <= most and len(start) == len(text) else f"{line[: most - 1]}…"


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("must be one line of printable characters")
    return text


SiteName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{0,39}$")]
"""A hospital, as its site.yaml, its enrolment and its replies call it."""
Partners = Annotated[
    str,
    Field(
        pattern=r"^([A-Za-z0-9][A-Za-z0-9-]{0,39}(,[A-Za-z0-9][A-Za-z0-9-]{0,39}){0,49})?$",
        max_length=50 * 41,
    ),
]
"""Several sites' names, at most 50, with a comma between two."""
RunName = Annotated[str, Field(pattern=f"^{_RUN.pattern}$")]
"""A run, as its folder and its messages call it."""
PanelName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
"""A further panel of a study; a part of parameters' names."""
Name = Annotated[
    str,
    Field(min_length=1, max_length=80, pattern=r"^[\w][\w .,()/+%-]*$"),
    AfterValidator(_printable),
]
"""A study, a label, or a measurement: words for people, in any script."""
Unit = Annotated[str, Field(min_length=1, max_length=40), AfterValidator(_printable)]
Language = Annotated[str, Field(pattern=r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,4}$")]
Reason = Annotated[str, Field(max_length=LONGEST_REASON), AfterValidator(_printable)]
"""Why a site or a server does what it does."""
# "panel:" and a comma around each panel's name, and a few modalities that every study has.
Modalities = Annotated[str, Field(pattern=r"^[a-z0-9_:,]*$", max_length=50 * (MOST_PANELS + 1))]
Labels = Annotated[str, Field(pattern=r"^[01]*$", max_length=MOST_LABELS)]


def is_run_name(name: str) -> bool:
    """Whether `name` may be that of a run."""
    return _RUN.fullmatch(name) is not None


class OneLine(logging.Formatter):
    """One record is one line, whatever it quotes; a traceback keeps its own lines."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        said = one_line(record.getMessage(), _LONGEST_LINE)
        return super().format(logging.makeLogRecord({**vars(record), "msg": said, "args": None}))

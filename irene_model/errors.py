"""The exceptions of this project.

::

    IreneError
    ├── UserError              the user's mistake: one sentence on stderr, exit code 2
    │   ├── ConfigError        study.yaml, site.yaml, a scenario, a command's option
    │   ├── DataError          a hospital's files
    │   ├── CheckpointError    weights that do not fit
    │   └── DiskError          no room to write
    ├── PrivacyError           the ledger or the accounting stops the work
    │   ├── BudgetExceeded     the release would cost more than is left
    │   ├── MetricsWithheld    the site does not send the metrics that were asked for
    │   └── LedgerError        the ledger can't be read, written or trusted
    │       └── LedgerLost     it is missing, damaged or behind what else is known of it
    ├── AwaitsPeople           a study is not approved here, or the site has paused
    └── ProtocolError          a message of the other side breaks the contract
        ├── LimitExceeded      its study asks for more than the site's limits allow
        ├── StaleMessage       it comes after its deadline
        ├── StudyMismatch      its study is not the one of its fingerprint
        └── RosterMismatch     its study's roster is not one that this site is in

A message names file, row, field, the kind of the value, the bound and the remedy. It never holds
a patient's value, so it may be shown, logged and sent. It is one printable line, whatever the names
in it hold that came from a file: no terminal obeys one, and no log grows by megabytes.
"""

import re

_LONGEST = 2000  # letters
_LONG_WORD = re.compile(r"(\S{120})\S{120,}")


class IreneError(Exception):
    """Base of all errors that this project raises on purpose."""

    def __str__(self) -> str:
        """The message as one line; what is not printable in it becomes a space."""
        said = super().__str__()
        if len(said) <= _LONGEST and said.isprintable():
            return said
        start = said[: 100 * _LONGEST]  # what is left out anyhow is not looked at
        line = "".join(sign if sign.isprintable() else " " for sign in start)
        line = _LONG_WORD.sub(r"\1…", line)
        return line if len(line) <= _LONGEST and start == said else f"{line[:_LONGEST]}…"


class UserError(IreneError):
    """The user can mend it: wrong configuration, wrong files, wrong weights."""


class ConfigError(UserError):
    """A configuration file or a command-line option is wrong."""


class DataError(UserError):
    """A hospital's file is missing, unreadable or holds something impossible."""


class CheckpointError(UserError):
    """Weights or a run folder do not fit the model or the study."""


class DiskError(UserError):
    """The disk is full; what is there is whole, and the work goes on once there is room."""


class PrivacyError(IreneError):
    """Privacy accounting forbids what was asked."""


class BudgetExceeded(PrivacyError):  # noqa: N818  # the field's word for it
    """The next release would exceed the site's budget; nothing was trained."""


class MetricsWithheld(PrivacyError):  # noqa: N818  # a decision, no error
    """The site's settings do not allow the metrics that were asked for; nothing was evaluated."""


class LedgerError(PrivacyError):
    """The ledger is unreadable, belongs to other patients, or could not be written durably."""


class LedgerLost(LedgerError):  # noqa: N818  # a fact, which its people may accept
    """The ledger, or what vouches for it, is missing, damaged or behind the others."""


class LedgerBehind(LedgerLost):
    """The coordinator was told of more rounds than the ledger knows; its text may leave."""


class AwaitsPeople(IreneError):  # noqa: N818  # a state, no error
    """The site's people must act first; nothing was read, charged or trained."""


class ProtocolError(IreneError):
    """A message, or an update in it, is not what the study's contract says."""


class LimitExceeded(ProtocolError):  # noqa: N818  # a decision, no error
    """The study goes beyond a limit in site.yaml; nothing was read, charged or trained for it."""


class StaleMessage(ProtocolError):  # noqa: N818  # a fact, no error of the site's
    """The message's deadline is over, or a newer attempt was begun; nothing was read, charged or
    trained for it."""


class StudyMismatch(ProtocolError):  # noqa: N818
    """The study has another fingerprint than the message, or the run, says."""


class RosterMismatch(ProtocolError):  # noqa: N818
    """The study's roster lacks this site, or has another key for it than the site's own."""

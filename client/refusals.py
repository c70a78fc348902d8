"""What a site says where it gives nothing: an outcome, a reason without paths or rows, and a code.

The details go to the site's own log. Flower would send an exception's text to the coordinator word
by word, and it may hold paths; so a site that can't even begin answers by itself as well.
"""

import logging
import re
from typing import Any

from irene_model.errors import (
    AwaitsPeople,
    BudgetExceeded,
    ConfigError,
    DataError,
    IreneError,
    LedgerBehind,
    LedgerError,
    LimitExceeded,
    MetricsWithheld,
    ProtocolError,
    RosterMismatch,
    StaleMessage,
    StudyMismatch,
)
from irene_model.exchange import Code, EvaluateReply, Flat, HelloReply, TrainReply
from irene_model.study import MOST_ROUNDS, one_line

_log = logging.getLogger(__name__)
_TOLD = (BudgetExceeded, MetricsWithheld, ProtocolError, AwaitsPeople, LedgerBehind)
_CODES: tuple[tuple[type[Exception], Code], ...] = (
    (AwaitsPeople, "people"),
    (StaleMessage, "stale"),
    (StudyMismatch, "study"),
    (RosterMismatch, "study"),
    (LimitExceeded, "limits"),
    (ProtocolError, "message"),
    (BudgetExceeded, "budget"),
    (MetricsWithheld, "metrics"),
    (ConfigError, "configuration"),
    (DataError, "files"),
    (LedgerError, "ledger"),
)


def said(error: Exception, *, declined: tuple[type[Exception], ...] = ()) -> dict[str, Any]:
    """outcome, reason and code of the reply to what ended in `error`, which is logged here.

    declined: the kinds of errors by which a site declines; what its people have to do is "waiting",
    and all else is "failed".
    """
    outcome = "declined" if isinstance(error, declined) else "failed"
    if isinstance(error, AwaitsPeople):
        outcome = "waiting"
    code = next((code for kind, code in _CODES if isinstance(error, kind)), "error")
    return {"outcome": outcome, "reason": _reason(error), "code": code}


def refusal(kind: str, request: Flat | None, *, site: str, error: Exception) -> Flat:
    """The reply "failed" to a message of `kind`, of a site that can't even begin.

    request: the message, where it could be read; site: the name the node was started with.
    """
    values = {} if request is None else request.values
    fingerprint = values.get("fingerprint", "")
    asked: dict[str, Any] = {
        "round": _counted(values.get("round")),
        "attempt": _counted(values.get("attempt")),
        "fingerprint": fingerprint if _is_fingerprint(fingerprint) else "",
    }
    match kind:
        case "train":
            return TrainReply(site=site, **asked, **said(error)).to_flat()
        case "evaluate":
            return EvaluateReply(site=site, **asked, **said(error)).to_flat()
        case _:
            return HelloReply(site=site, **said(error)).to_flat()


def _counted(told: Any) -> int:
    return told if type(told) is int and 0 <= told <= MOST_ROUNDS else 0


def _is_fingerprint(told: Any) -> bool:
    return isinstance(told, str) and re.fullmatch("[0-9a-f]{64}", told) is not None


def _reason(error: Exception) -> str:
    """What may be said outside: our own sentences without paths or rows, else only a kind."""
    if isinstance(error, _TOLD):
        _log.warning("%s", error)
        return one_line(str(error))
    if isinstance(error, IreneError):
        _log.error("%s", error)
    else:
        _log.exception("unexpected error")
    if isinstance(error, ConfigError):
        return "the site's configuration can't serve the study; the site's log says where"
    if isinstance(error, DataError):
        return "the site's files were refused; the site's log says where"
    return f"error at the site ({type(error).__name__}); the site's log says more"

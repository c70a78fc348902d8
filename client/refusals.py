"""The answer of a site that can't even begin: its own site.yaml, or the message, can't be read.

Flower would send such an exception's text to the coordinator word by word, and it may hold paths.
"""

import re
from typing import Any

from irene_model.errors import IreneError, ProtocolError
from irene_model.exchange import Code, EvaluateReply, Flat, HelloReply, TrainReply
from irene_model.study import MOST_ROUNDS, one_line


def refusal(kind: str, request: Flat | None, *, site: str, error: Exception) -> Flat:
    """The reply "failed" to a message of `kind`, with a reason that gives nothing away.

    request: the message, where it could be read; site: the name the node was started with.
    """
    values = {} if request is None else request.values
    round, fingerprint = values.get("round", 0), values.get("fingerprint", "")
    asked: dict[str, Any] = {
        "round": round if type(round) is int and 0 <= round <= MOST_ROUNDS else 0,
        "fingerprint": fingerprint if _is_fingerprint(fingerprint) else "",
    }
    said: dict[str, Any] = {"outcome": "failed", "reason": _reason(error), "code": _code(error)}
    match kind:
        case "train":
            return TrainReply(site=site, **asked, **said).to_flat()
        case "evaluate":
            return EvaluateReply(site=site, **asked, **said).to_flat()
        case _:
            return HelloReply(site=site, **said).to_flat()


def _is_fingerprint(told: Any) -> bool:
    return isinstance(told, str) and re.fullmatch("[0-9a-f]{64}", told) is not None


def _code(error: Exception) -> Code:
    if isinstance(error, ProtocolError):
        return "message"
    return "configuration" if isinstance(error, IreneError) else "error"


def _reason(error: Exception) -> str:
    if isinstance(error, ProtocolError):
        return one_line(str(error))  # of the message alone
    if isinstance(error, IreneError):
        return "the site's configuration can't be read; the site's log says where"
    return f"error at the site ({type(error).__name__}); the site's log says more"

"""Attempts at a round: which one may be taken up, which is new, and which is refused. Pure.

Under secure sums a site that fails costs the attempt of all: the coordinator asks the others once
more. Whoever has the masked vectors of two attempts with other partners and the same masks or the
same noise can subtract them, and what is left is one site's. So a number stands for one set of
partners, one noise and one release; numbers grow within (run, round, split), and what was not
released may only be taken up as long as nothing newer was begun. Without secure sums the number is
0, and a round has one attempt.
"""

from client.ledger.history import History, Reservation
from irene_model.errors import LedgerError, ProtocolError, StaleMessage


def check_form(asked: Reservation) -> None:
    """Raise where `asked` is neither an attempt nor without one.

    ProtocolError for partners that are not in order or not different: their number says how much
    noise there is.
    """
    if bool(asked.attempt) != (asked.alone is not None):
        raise ValueError("an attempt has a mechanism of its own noise, and nothing else has")
    names = asked.partners.split(",") if asked.partners else []
    if bool(asked.attempt) != bool(names):
        raise ProtocolError("an attempt has a number from 1 and names its partners")
    if names != sorted(set(names)):
        raise ProtocolError("an attempt names each partner once, in the order of their names")


def taken_up(history: History, asked: Reservation) -> Reservation | None:
    """What was reserved before and is asked for again; None where `asked` is a charge of its own.

    Raises StaleMessage for an attempt before the newest, ProtocolError for the newest one with
    other partners, and LedgerError for another mechanism or for patients who have moved.
    """
    newest = history.find(asked.run, asked.round, asked.split)
    if newest is None or newest.attempt < asked.attempt:
        return None
    round = asked.round
    if newest.attempt > asked.attempt:
        raise StaleMessage(
            f"attempt {asked.attempt} at round {round} comes after attempt {newest.attempt}, which "
            "was begun here; attempts are numbered in order"
        )
    if newest.partners != asked.partners:
        raise ProtocolError(
            f"attempt {asked.attempt} at round {round} was begun here with other partners; another "
            "set of partners is another attempt"
        )
    if _noise(newest) != _noise(asked):
        raise LedgerError(
            f"round {round} was reserved before with another mechanism; a round's "
            "noise, sampling rate, steps and clip norm can't change"
        )
    if newest.assignment != asked.assignment and not newest.released:
        raise LedgerError(
            f"round {round} was reserved before, and patients have moved between "
            "splits since; it can't be taken up again, later rounds can"
        )
    return newest


def _noise(charge: Reservation) -> tuple[object, ...]:
    return charge.mechanism, charge.alone, charge.clip_norm

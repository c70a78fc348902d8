"""The round loop: invite, gather, judge, aggregate, checkpoint, evaluate.

Every round names every site and what became of it. A round with too few updates changes nothing:
it waits and is asked for again, with the same weights, and sites that had released its update send
the same bytes. A round's checkpoint is on disk before the next begins, so a killed server resumes
from the last whole round.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from irene_model.errors import IreneError
from irene_model.exchange import Arrays
from irene_model.study import HeldOut, server_rate
from irene_model.weights import new_model, trained_names
from server.aggregation import Judge, norm, strategy_for
from server.rounds.attendance import Roll
from server.rounds.charged import Charged
from server.rounds.enrolled_nodes import RegisterFile
from server.rounds.exchange import Exchange
from server.rounds.gathering import Gathering
from server.rounds.metrics_replies import Answers
from server.rounds.pace import Pace
from server.rounds.secure_attempt import SecureSums
from server.rounds.secure_round import SecureRounds
from server.runs import Json, RunFolder, bounded, now, waiting
from server.secure import Accounts, Attempts

_log = logging.getLogger(__name__)
Observer = Callable[[Json], None]
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 5.0, 60.0


class Way(Protocol):
    """How sites' work becomes a step: their updates one by one, or a secure sum of them."""

    def take(self, round: int, weights: Arrays, earlier: Json) -> tuple[Json, Arrays | None]:
        """A try at `round`: its line, and the mean update; None where too few gave one."""

    def metrics(self, round: int, split: HeldOut, weights: Arrays) -> Answers:
        """What the sites say of `weights`; IreneError where nobody can say it now."""


@dataclass(kw_only=True)
class RoundLoop:
    """One run, from its last whole round to the end.

    expected_sites: wait for so many before the first round, at most `patience_s` seconds, as
    long as the study's minimum is there. register: the enrolled sites. give_up: end the run with
    an error where a round has too few updates, instead of waiting for as long as it takes.
    """

    exchange: Exchange
    folder: RunFolder
    expected_sites: int = 0
    patience_s: float = 60.0
    register: RegisterFile = field(default_factory=lambda: RegisterFile(None))
    give_up: bool = False
    observe: Observer | None = None
    roll: Roll = field(init=False)
    _way: Way = field(init=False)
    _lines: list[Json] = field(init=False)
    _accounts: Accounts = field(init=False)

    def __post_init__(self) -> None:
        """The roll starts empty, also when a run is resumed: sites may have changed nodes."""
        folder, study, lines = self.folder, self.folder.study, self.folder.rounds()
        self._lines = lines
        self.roll = Roll(
            exchange=self.exchange, study=study, run=folder.info["run"], register=self.register
        )
        pace = Pace(lines, deadline_s=study.federation.round_deadline_s)
        if study.federation.secure is None:
            judge = Judge(study, trained_names(new_model(study, seed=0)), lines)
            self._way = Gathering(
                exchange=self.exchange, roll=self.roll, folder=folder, judge=judge, pace=pace
            )
            self._accounts = Accounts(folder=folder, attempts=None)
            return
        attempts = Attempts(folder.path, durable=folder.durable)
        self._accounts = Accounts(folder=folder, attempts=attempts)
        sums = SecureSums(
            exchange=self.exchange,
            roll=self.roll,
            folder=folder,
            pace=pace,
            attempts=attempts,
            charged=Charged(lines, most=study.federation.rounds),
        )
        self._way = SecureRounds(sums=sums)

    def run(self) -> Json:
        """Train all rounds that are left, evaluate on the test patients, and give the results."""
        study, folder = self.folder.study, self.folder
        before = folder.info.get("seconds", 0.0)  # of earlier sessions
        started = time.monotonic() - (before if bounded(before, 1e9) else 0.0)
        weights = folder.load_checkpoint(folder.last_round)
        strategy = strategy_for(study, folder.load_state(folder.last_round))
        self._wait_for_sites()
        self._judge_start()
        for round in range(folder.last_round + 1, study.federation.rounds + 1):
            began = time.monotonic()
            line, mean = self._train(round, weights)
            if mean is None:
                self._record_without_progress(line)
                break
            weights = strategy.apply(weights, mean, server_rate(study, round))
            folder.save_checkpoint(round, weights, strategy.state)
            line |= {
                "update_norm": norm(mean),
                "checkpoint": f"checkpoints/{folder.checkpoint(round).name}",
            }
            if study.federation.evaluated(round):
                line["evaluation"] = self._evaluate(round, weights, "validation").summary
            line["seconds"] = time.monotonic() - began
            self._append(line)
            folder.update_info(seconds=time.monotonic() - started)
            self._report(line)
        self.roll.greet()
        answers = self._evaluate(folder.last_round, weights, "test")
        return self._results(answers, time.monotonic() - started)

    def _wait_for_sites(self) -> None:
        """Wait before the first round, and tell in run.json for whom and since when."""
        told: Json = {}
        written = 0.0

        def tell() -> None:
            nonlocal told, written
            sites = {s: {"outcome": "ready", "reason": ""} for s in self.roll.sites.values()}
            sites |= self.roll.absences()
            if sites != told or time.monotonic() - written > _LONGEST_PAUSE_S:
                self._tell(sites, round=self.folder.last_round + 1, attempts=0, again=None)
                told, written = sites, time.monotonic()

        self.roll.wait(self.expected_sites, self.patience_s, forever=not self.give_up, observe=tell)
        if told:
            self.folder.update_info(waiting=None)

    def _tell(self, sites: Json, **told: Any) -> None:
        before = self.folder.info.get("waiting")
        self.folder.update_info(waiting=waiting(before, sites, now=now(), **told))

    def _report(self, line: Json) -> None:
        _log.info("round %d took %.1f s", line["round"], line["seconds"])
        if self.observe is not None:
            self.observe(line)

    def _train(self, round: int, weights: Arrays) -> tuple[Json, Arrays | None]:
        """One round's line, and what the updates agree on; None where budgets have run out.

        Tries until enough sites gave an update. Raises IreneError where it is to give up instead.
        """
        study, folder = self.folder.study, self.folder
        minimum, started = study.federation.needed_sites, time.monotonic()
        sites: Json = {}
        pause_s, attempt = _FIRST_PAUSE_S, 0
        while True:
            attempt += 1
            self.roll.greet()
            line, mean = self._way.take(round, weights, sites)
            line |= {"attempts": attempt, "seconds": time.monotonic() - started}
            sites = line["sites"]
            if mean is not None:
                folder.update_info(waiting=None)
                return line, mean
            if self._budgets_have_run_out(line):
                folder.update_info(waiting=None)
                return line, None
            if self.give_up:
                raise IreneError(f"{_too_few(line, minimum)}. Nothing is lost: resume the run")
            self._say_what_is_spent(line)
            _log.warning("%s; trying again in %.0f s", _too_few(line, minimum), pause_s)
            again = (datetime.now(UTC) + timedelta(seconds=pause_s)).isoformat(timespec="seconds")
            self._tell(sites, round=round, attempts=attempt, again=again, refused=_refused(line))
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _budgets_have_run_out(self, line: Json) -> bool:
        """Whether too few sites can ever give an update again; round 1 shows a wrong study."""
        spent = [site for site, e in line["sites"].items() if e.get("code") == "budget"]
        left = len(set(self.roll.names) - set(spent) - set(self.roll.evaluators))
        return line["round"] > 1 and left < self.folder.study.federation.needed_sites

    def _record_without_progress(self, line: Json) -> None:
        """Too few sites have budget left: keep the line and stop for good."""
        line |= {"update_norm": None, "checkpoint": None}
        self._append(line, last=True)
        self.folder.update_info(stopped=f"round {line['round']}: too few sites have budget left")
        self._report(line)

    def _append(self, line: Json, *, last: bool = False) -> None:
        last = last or line["round"] == self.folder.study.federation.rounds
        self._say_what_is_spent(line, last=last)
        self.folder.append_round(line)
        self._lines.append(line)
        self.folder.thin(self._lines)

    def _say_what_is_spent(self, line: Json, *, last: bool = False) -> None:
        """Add to each site's entry the `epsilon` that its patients have spent until this line."""
        spent = self._accounts.until([*self._lines, line], last=last)
        for site in line["sites"].keys() & spent.keys():
            line["sites"][site] |= spent[site]

    def _evaluate(self, round: int, weights: Arrays, split: HeldOut) -> Answers:
        """The sites' answers; where all are out of reach, those of a later time."""
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                return self._way.metrics(round, split, weights)
            except IreneError as error:
                if self.give_up:
                    raise
                _log.warning("%s; trying again in %.0f s", error, pause_s)
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            self.roll.greet()

    def _judge_start(self) -> None:
        """The first weights on the test patients, where the study says so, and noted for good.

        Sites that were asked before a server died send the same bytes again.
        """
        study, started = self.folder.study, time.monotonic()
        if not study.evaluation.start or "start_only" in self.folder.info:
            return
        answers = self._evaluate(0, self.folder.load_checkpoint(0), "test")
        self.folder.update_info(
            start_only={
                "model": study.model.method,
                "rounds": 0,
                "seconds": round(time.monotonic() - started, 1),
                **answers.evaluation.as_dict(),
                "evaluation": {"sites": dict(answers.sites)},
                "privacy": {},
            }
        )

    def _start_only(self) -> Json:
        """What the first weights reached by themselves, where somebody could judge them."""
        judged = self.folder.info.get("start_only")
        return {} if judged is None else {"start-only": judged}

    def _results(self, answers: Answers, seconds: float) -> Json:
        """The contents of results.json."""
        study = self.folder.study
        arm = {
            "model": study.model.method,
            "rounds": self.folder.last_round,
            "seconds": round(seconds, 1),
            **answers.evaluation.as_dict(),
            "evaluation": {"sites": dict(answers.sites)},
            "privacy": self._accounts.whole(dict(answers.sites)),
        }
        return {
            "schema": 1,
            "labels": list(study.labels),
            "sites": self.roll.names,
            "arms": {self.folder.info["arm"]: arm, **self._start_only()},
        }


def _too_few(line: Json, minimum: int) -> str:
    if refused := _refused(line):
        return f"round {line['round']}: the sum was refused: {refused}"
    reasons = "; ".join(f"{s}: {e['reason']}" for s, e in line["sites"].items() if e["reason"])
    return f"round {line['round']}: fewer than {minimum} sites gave an update ({reasons})"


def _refused(line: Json) -> str:
    """Why the newest sum of the round was refused; empty where none was."""
    return str((line.get("secure") or [{}])[-1].get("reason", ""))

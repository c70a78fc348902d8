"""One site's answers to the server's messages: the whole client but for how messages travel.

Whatever goes wrong inside becomes a reply with an outcome and a reason that holds no path, row or
exception text; the details go to the site's own log.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from client.budget import declared_patients, permitted_evaluation, permitted_plan
from client.consent import Consent
from client.devices import Team, pick_device
from client.gateway import remembered
from client.ledger import History, Ledger, check_coordinator
from client.private import Randomness, noise_of_evaluation
from client.records import SiteDataset, open_dataset
from client.refusals import said
from client.secure import Membership, Part, evaluate_sum, judged, train_sum
from client.site import Site, check_study, mapped_labels, mapped_modalities
from client.training import Evaluated, Releases, evaluate, evaluate_privately, train_round
from irene_model.errors import (
    AwaitsPeople,
    BudgetExceeded,
    ConfigError,
    IreneError,
    LimitExceeded,
    MetricsWithheld,
    ProtocolError,
    RosterMismatch,
    StaleMessage,
    StudyMismatch,
)
from irene_model.exchange import (
    EvaluateReply,
    EvaluateRequest,
    HelloReply,
    HelloRequest,
    TrainReply,
    TrainRequest,
)
from irene_model.study import Study
from irene_model.weights import labels_to_text

_log = logging.getLogger(__name__)
_Request = TrainRequest | EvaluateRequest
_JUDGED = (LimitExceeded, MetricsWithheld, RosterMismatch, StaleMessage, StudyMismatch)


@dataclass(frozen=True, kw_only=True)
class Participant:
    """A site that takes part in a study.

    simulation_seed: reproducible randomness, for simulated hospitals alone; None: the system's.
    consent: what the site's people have approved; None asks nobody, in a simulation.
    releases: where all that leaves is noted before it does.
    masked: False leaves out the masks of secure sums, in simulations alone: their sum is the same.
    dataset: opens the site's data set, looking whether its files are the same.
    ledger: opens the site's ledger.
    """

    site: Site
    simulation_seed: int | None = None
    consent: Consent | None = None
    releases: Releases | None = None
    masked: bool = True
    dataset: Callable[[Site, Study], SiteDataset] = open_dataset
    ledger: Callable[[Site], Ledger] = Ledger.of

    @classmethod
    def at(cls, path: Path, simulation_seed: int | None = None) -> "Participant":
        """The participant described by the site.yaml at `path`."""
        return cls(site=Site.read(path), simulation_seed=simulation_seed)

    @classmethod
    def of_node(cls, path: Path) -> "Participant":
        """The participant that answers a real server: with consent, and every release noted."""
        site = Site.read(path)
        connection = remembered(site)
        server = "" if connection is None else connection.server
        return cls(site=site, consent=Consent.of(site), releases=Releases.of(site, server))

    def hello(self, request: HelloRequest) -> HelloReply:
        """Say who is here, and whether the study can be served."""
        try:
            study, _ = self._agreed(request.timely_study())
            dataset = self._dataset(study)
            declared, trains = declared_patients(self.site, dataset), self.site.trains
            present = any(dataset.patients[split] for split in self.site.declared_splits)
            if present and trains:
                permitted_plan(self.site, study, declared, 1)
            elif present:
                permitted_evaluation(self.site, study, "test", study.federation.rounds)
            pick_device(self.site.device)  # one that is not there is said before the first round
            Ledger.seen(self.site)  # one that can't be trusted is said before the first round
        except Exception as error:
            return HelloReply(site=self.site.site, **said(error, declined=_JUDGED))
        return HelloReply(
            site=self.site.site,
            outcome="ready" if present else "declined",
            reason="" if present else f"no patients to {'train' if trains else 'evaluate'} on",
            code="" if present else "patients",
            only_evaluates=float(declared) if present and not trains else 0.0,
        )

    def train(self, request: TrainRequest) -> TrainReply:
        """Train one round, within the site's budget."""
        started = time.monotonic()
        try:
            reply = self._train(request, started)
            self._note(reply, request)
            return reply
        except Exception as error:
            return TrainReply(
                **self._about(request),
                **said(error, declined=(BudgetExceeded, ProtocolError, ConfigError)),
                rounds_charged=self._rounds_charged(request.run),
                seconds=time.monotonic() - started,
            )

    def evaluate(self, request: EvaluateRequest) -> EvaluateReply:
        """Evaluate the round's weights on held-out patients, as far as the site allows it."""
        started = time.monotonic()
        try:
            reply = self._evaluate(request, started)
            self._note(reply, request)
            return reply
        except Exception as error:
            return EvaluateReply(
                **self._about(request),
                **said(error, declined=(BudgetExceeded, MetricsWithheld, ProtocolError)),
                seconds=time.monotonic() - started,
            )

    def _evaluate(self, request: EvaluateRequest, started: float) -> EvaluateReply:
        study, membership = self._agreed(request.timely_study())
        site, part = self.site, self._part(request, membership)
        noise = permitted_evaluation(
            site, study, request.split, request.round, sites=None if part is None else part.sites
        )
        if self.releases is not None:
            self.releases.check_first(request)
        what = Evaluated.at(site, self._dataset(study), request.split)
        multiplier = noise.mechanism.noise_multiplier
        ledger = self.ledger(site) if noise.private else None
        if part is not None:
            arrays = evaluate_sum(
                request.arrays,
                part,
                what,
                noise=noise,
                ledger=ledger,
                minimum_group=site.minimum_group,
            )
        elif ledger is None:
            arrays = evaluate(request.arrays, what, minimum_group=site.minimum_group)
        else:
            arrays = evaluate_privately(
                request.arrays,
                what,
                noise_multiplier=multiplier,
                ledger=ledger,
                run=request.run,
                round=request.round,
                rng=noise_of_evaluation(
                    seed=self.simulation_seed,
                    site=site.site,
                    round=request.round,
                    split=request.split,
                ),
            )
        return EvaluateReply(
            **self._about(request),
            **({} if ledger is None else self._spent(ledger, ledger.history(), study, request)),
            outcome="evaluated",
            noise_multiplier=multiplier,
            deviation=0.0 if part is not None else multiplier * what.sensitivity,
            seconds=time.monotonic() - started,
            arrays=arrays,
        )

    def _train(self, request: TrainRequest, started: float) -> TrainReply:
        if not self.site.trains:
            raise LimitExceeded("this site only evaluates (role in site.yaml) and never trains")
        study, membership = self._agreed(request.timely_study())
        part = self._part(request, membership)
        dataset = self._dataset(study)
        declared = declared_patients(self.site, dataset)
        plan = permitted_plan(
            self.site, study, declared, request.round, sites=None if part is None else part.sites
        )
        ledger = self.ledger(self.site)
        journal = None if self.releases is None else self.releases.journal
        check_coordinator(request, ledger.history(), journal)
        modalities = mapped_modalities(self.site, study)
        labels = mapped_labels(self.site, study)
        asked: dict[str, Any] = {
            "dataset": dataset,
            "plan": plan,
            "ledger": ledger,
            "randomness": Randomness.of_round(
                seed=self.simulation_seed,
                site=self.site.site,
                round=request.round,
                attempt=request.attempt,
            ),
            "device": pick_device(self.site.device),
            "memory": self.site.memory,
            "team": Team.of(self.site),
            "modalities": modalities,
            "labels": labels,
            "again": request.again,
        }
        request.check_deadline()  # reading the files may have taken long; the ledger comes next
        told: dict[str, Any]
        if part is None:
            update = train_round(request.arrays, run=request.run, round=request.round, **asked)
            told = {
                "weight": float(plan.declared_patients),
                "modalities": ",".join(modalities),
                "labels": labels_to_text(labels),
                "wire": study.federation.wire,
            }
        else:
            update = train_sum(request.arrays, part, **asked)
            told = {}
        seen = ledger.history()
        seconds = time.monotonic() - started
        _log.info("round %d: %d steps in %.1f s", request.round, plan.mechanism.steps, seconds)
        return TrainReply(
            **self._about(request),
            **told,
            outcome="updated",
            noise_multiplier=plan.mechanism.noise_multiplier,
            sample_rate=plan.mechanism.sample_rate,
            rounds_charged=seen.rounds_charged(request.run),
            **self._spent(ledger, seen, study, request),
            seconds=seconds,
            arrays=update,
        )

    def _spent(
        self, ledger: Ledger, seen: History, study: Study, request: _Request
    ) -> dict[str, Any]:
        delta, run = study.privacy.delta, request.run
        spent = {
            "epsilon_run": ledger.epsilon(delta=delta, run=run, seen=seen),
            "epsilon_total": ledger.epsilon(delta=delta, seen=seen),
        }
        if request.attempt:
            spent["epsilon_alone"] = ledger.epsilon_alone(delta=delta, run=run, seen=seen)
        return spent

    def _part(self, request: _Request, membership: Membership | None) -> Part | None:
        return judged(request, membership, seed=self.simulation_seed, masked=self.masked)

    def _rounds_charged(self, run: str) -> int:
        try:
            history = Ledger.seen(self.site)
        except (IreneError, OSError) as error:
            _log.error("%s", error)
            return -1
        return 0 if history is None else history.rounds_charged(run)

    def _agreed(self, study: Study) -> tuple[Study, Membership | None]:
        """`study` and the site's place in its roster, if it has one, where the study is within the
        limits and the site's people serve it; else AwaitsPeople.

        People are not asked about a study that would be declined anyhow.
        """
        check_study(self.site.limits, study)
        membership = Membership.of(self.site, study)
        refusal = None if self.consent is None else self.consent.refusal(study)
        if refusal is not None:
            raise AwaitsPeople(refusal)
        return study, membership

    def _about(self, request: _Request) -> dict[str, Any]:
        """What every answer to `request` says: from whom, to which round of which study."""
        return {
            "site": self.site.site,
            "round": request.round,
            "attempt": request.attempt,
            "fingerprint": request.fingerprint,
        }

    def _note(self, reply: TrainReply | EvaluateReply, request: _Request) -> None:
        if self.releases is not None:
            self.releases.note_answer(reply, request)

    def _dataset(self, study: Study) -> SiteDataset:
        check_study(self.site.limits, study)  # before any file is opened
        return self.dataset(self.site, study)

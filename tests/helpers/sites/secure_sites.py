"""Hospitals that share secure sums: keys, roster, and what a server asks each of them."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml

from client.gateway.connection import forget
from client.ledger.ledger import Ledger, Reservation
from client.participant import Participant
from irene_model.exchange.protocol import Arrays
from irene_model.exchange.replies import EvaluateReply, HelloReply, TrainReply
from irene_model.exchange.requests import EvaluateRequest, HelloRequest, TrainRequest
from irene_model.journal.private_files import private_folder, write_private
from irene_model.secure.masks import MaskKey
from irene_model.secure.sums import add, empty
from irene_model.study.records import HeldOut
from irene_model.study.study import Study
from irene_model.weights.weights import new_model, to_arrays
from tests.helpers.hospital_folder import SITE, SMALL, STUDY, HospitalFolder, write_hospital

NAMES = ("east", "north", "south", "west")
AMPLE = {"epsilon": 8, "delta": 1.0e-3, "alone": 60}
Words = npt.NDArray[np.uint32]


@dataclass(frozen=True, kw_only=True)
class SecureSites:
    """Four hospitals of one roster, and the study that they are asked for. keys: site -> public."""

    folder: Path
    keys: dict[str, str]
    study: Study

    def afresh(self, *, budget: Any = AMPLE, **changes: Any) -> "SecureSites":
        """The same hospitals before their first message; `changes` are of the study."""
        study = Study.model_validate(secure_document(self.keys, **changes))
        for name, hospital in ((name, self.hospital(name)) for name in NAMES):
            (hospital.folder / "site.yaml").write_text(
                yaml.safe_dump({**SITE, "site": name, "budget": budget}, allow_unicode=True),
                encoding="utf-8",
            )
            forget(hospital.site)
            for path in (hospital.folder / ".irene").iterdir():
                if path.is_file() and path.name != "mask.key":
                    path.unlink()
        return replace(self, study=study)

    def hospital(self, name: str) -> HospitalFolder:
        return HospitalFolder(folder=self.folder / name)

    def participant(
        self, name: str, *, seed: int | None = None, masked: bool = True
    ) -> Participant:
        site = self.hospital(name).site
        return Participant(site=site, simulation_seed=seed, masked=masked)

    def hello(self, name: str, study: Study | None = None) -> HelloReply:
        request = HelloRequest.about(study or self.study, run="r")
        return self.participant(name).hello(request)

    def train(
        self,
        name: str,
        *,
        attempt: int = 1,
        partners: str = "east,north,south",
        seed: int | None = None,
        masked: bool = True,
        study: Study | None = None,
        **fields: Any,
    ) -> TrainReply:
        study = study or self.study
        fields = {"run": "r", "round": 1, "arrays": weights_of(study), **fields}
        request = TrainRequest.about(study, attempt=attempt, partners=partners, **fields)
        return self.participant(name, seed=seed, masked=masked).train(request)

    def evaluate(
        self,
        name: str,
        *,
        attempt: int = 1,
        partners: str = "east,north,south",
        seed: int | None = None,
        split: HeldOut = "validation",
        **fields: Any,
    ) -> EvaluateReply:
        fields = {"run": "r", "round": 1, "arrays": weights_of(self.study), **fields}
        request = EvaluateRequest.about(
            self.study, attempt=attempt, partners=partners, split=split, **fields
        )
        return self.participant(name, seed=seed).evaluate(request)

    def charges(self, name: str) -> tuple[Reservation, ...]:
        return Ledger.of(self.hospital(name).site).reservations()


def weights_of(study: Study) -> Arrays:
    return to_arrays(new_model(study, seed=1))


def total_of(*replies: TrainReply | EvaluateReply) -> Words:
    """All sums of `replies` added up; each must hold one."""
    total = empty(replies[0].arrays["sum"].size)
    for reply in replies:
        assert reply.reason == "" and set(reply.arrays) == {"sum"}
        add(total, reply.arrays["sum"])
    return total


def secure_document(keys: dict[str, str], **changes: Any) -> dict[str, Any]:
    """study.yaml of `keys`: site -> public mask key. Node keys are made up."""
    members = [
        {"name": name, "node_key": f"{number:064x}", "mask_key": key}
        for number, (name, key) in enumerate(keys.items(), start=1)
    ]
    secure = {"colluding": 1, "patients": 24, "roster": {"members": members}}
    return {
        **STUDY,
        "model": SMALL,
        "training": {"expected_batch": 12, "optimizer": "sgd"},
        "federation": {
            "rounds": 2, "local_steps": 1, "minimum_sites": 3, "strategy": "fedadam",
            "secure": secure,
        },
        **changes,
    }  # fmt: skip


def write_secure_sites(folder: Path) -> SecureSites:
    """Hospitals whose records are read already: what follows is quick."""
    keys: dict[str, str] = {}
    for number, name in enumerate(NAMES):
        write_hospital(folder / name, seed=number)
        key = MaskKey.new()
        write_private(private_folder(folder / name / ".irene") / "mask.key", key.to_bytes())
        keys[name] = key.public
    sites = SecureSites(folder=folder, keys=keys, study=Study.model_validate(secure_document(keys)))
    sites.afresh()
    for name in NAMES:
        assert sites.hello(name).outcome == "ready"
    return sites

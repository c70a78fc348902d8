"""JSON that comes from outside, or has lain on a disk: what it should be, and who reads it."""

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from client.consent.consent import Consent
from client.gateway.clock import kept
from client.gateway.connection import connection_in
from irene_model.errors import IreneError
from irene_model.exchange.protocol import PROTOCOL, Flat, Plain
from irene_model.exchange.requests import HelloRequest, read_study
from irene_model.inputs.external_files import read_json
from irene_model.journal.journal import Journal
from irene_model.operations.supervised import running
from irene_model.study.study import Study
from irene_model.weights.provenance import PROVENANCE, Provenance
from irene_model.weights.weights import config_of, read_model

_JUDGED = {"patients": 5, "auroc": 0.75, "by_label": {"pneumonia": 0.75, "death": None}}


def json_files(folder: Path, study: Study) -> dict[str, bytes]:
    """File -> content; `folder` gets what else is beside them."""
    journal = Journal(folder / "journal.jsonl")
    for number in range(3):
        journal.append("study approved", who="test", number=number)
    (folder / "model.safetensors").write_bytes(b"")
    documents = {
        "study.json": json.loads(study.canonical),
        "config.json": config_of(study).to_dict(),
        "connection.json": {
            "server": "h.org:443",
            "ca": "/ca.crt",
            "key": "/key",
            "health_port": 5,
        },
        "tokenizer.json": {"model": {"vocab": {"a": 1}}},
        "approvals.json": {"studies": {study.fingerprint: {"who": "test", "time": "2024-01-01"}}},
        "clock.json": {"offset": 0.1, "slack": 0.1, "wall": 1.0, "steady": 1.0},
        PROVENANCE: {
            **{"kind": "pretrained", "name": "n", "study": study.name, "privacy": "none"},
            **{"fingerprint": study.fingerprint, "places": 1, "training_patients": 9},
            **{"training_records": 9, "epochs": 3, "kept_epoch": 2, "seed": 0},
            **{"validation": _JUDGED, "test": _JUDGED},
        },
    }
    files = {name: json.dumps(document).encode() for name, document in documents.items()}
    return {**files, journal.path.name: journal.path.read_bytes()}


def read_documents(folder: Path, study: Study) -> None:
    """Read each as it is read; the first refusal is raised once all have been read."""
    readers: tuple[Callable[[], object], ...] = (
        lambda: _read_message((folder / "study.json").read_text("utf-8", errors="replace")),
        lambda: Provenance.read(folder),
        lambda: read_json(folder / "tokenizer.json"),
        lambda: connection_in(folder),
        lambda: Journal(folder / "journal.jsonl").entries(),
        lambda: Consent(folder=folder, journal=Journal(folder / "j")).refusal(study),
        lambda: kept(folder),
        lambda: running(folder),
    )
    refusals: list[IreneError] = []
    for read in readers:
        try:
            read()
        except IreneError as error:
            refusals.append(error)
    # There are no weights beside config.json, so this always refuses.
    with suppress(IreneError):
        read_model(folder, study)
    if refusals:
        raise refusals[0]


def _read_message(text: str) -> None:
    asked = {"study": text, "fingerprint": "0" * 64, "run": "first", "deadline": 1.0}
    values: dict[str, Plain] = {"kind": "hello", "protocol": PROTOCOL, **asked}
    read_study(HelloRequest.from_flat(Flat(arrays={}, values=values)).study)

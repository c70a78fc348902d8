"""What a server asks of one hospital, in this process: a greeting, a round, an evaluation."""

from client.ledger.ledger import Ledger
from client.participant import Participant
from irene_model.exchange.protocol import Arrays
from irene_model.exchange.replies import EvaluateReply, HelloReply, TrainReply
from irene_model.exchange.requests import EvaluateRequest, HelloRequest, TrainRequest
from irene_model.study.study import Study
from irene_model.weights.weights import new_model, to_arrays
from tests.helpers.hospital_folder import HospitalFolder


def weights_of(study: Study) -> Arrays:
    return to_arrays(new_model(study, seed=1))


def hello(hospital: HospitalFolder) -> HelloReply:
    request = HelloRequest.about(hospital.study, run="r")
    return Participant.at(hospital.site_file).hello(request)


def train(
    hospital: HospitalFolder,
    *,
    round: int = 1,
    run: str = "r",
    study: Study | None = None,
    weights: Arrays | None = None,
    simulation_seed: int | None = None,
) -> TrainReply:
    study = study or hospital.study
    request = TrainRequest.about(study, run=run, round=round, arrays=weights or weights_of(study))
    return Participant.at(hospital.site_file, simulation_seed).train(request)


def evaluate(hospital: HospitalFolder) -> EvaluateReply:
    study = hospital.study
    request = EvaluateRequest.about(study, run="r", round=1, split="test", arrays=weights_of(study))
    return Participant.at(hospital.site_file).evaluate(request)


def charges(hospital: HospitalFolder) -> int:
    return len(Ledger.of(hospital.site).reservations())

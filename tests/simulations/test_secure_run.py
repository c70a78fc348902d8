"""Secure sums among made-up hospitals: real clients, ledgers and messages, in this process."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from client.budget.plan import plan_round
from client.ledger.ledger import Ledger
from client.participant import Participant
from client.private.randomness import Randomness
from client.records.dataset import open_dataset
from client.site.site import Site
from client.training.one_step import clipped_sum
from irene_model.errors import ConfigError
from irene_model.secure.grid import grid_of_training
from irene_model.secure.vector import flatten, unflatten
from irene_model.study.study import Study
from irene_model.weights.weights import load_arrays, new_model
from server.rounds.round_loop import RoundLoop
from server.runs.lines import Json
from server.runs.run_folder import RunFolder
from simulations.hospitals.hospitals import write_hospitals
from simulations.hospitals.joined import check_budgets
from simulations.hospitals.scenario import Scenario
from simulations.hospitals.secure_sums import (
    mask_key,
    with_members,
    without_sums,
    write_mask_keys,
)
from simulations.run import simulate, start_run
from tests.helpers.direct_grid import exchange_with, hospital_node
from tests.helpers.small_scenario import small_scenario

pytestmark = pytest.mark.usefixtures("hurried")
SEED = 3
SECURE = (
    "federation.secure=true",
    "federation.local_steps=1",
    "federation.rounds=2",
    "federation.evaluate_every=2",
    "training.optimizer=sgd",
    "training.learning_rate=1",
    "training.expected_batch=16",
    "federation.minimum_sites=3",
)
EXACT = ("privacy.noise_multiplier=0",)


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.helpers.federations.hurry import hurry

    hurry(monkeypatch)


class Simulated:
    """Four hospitals and a run among them."""

    def __init__(self, path: Path, *settings: str, masked: bool = True) -> None:
        self.scenario = small_scenario(path, *SECURE, *settings)
        files = write_hospitals(self.scenario, path / "hospitals", seed=SEED)
        write_mask_keys(self.scenario.study, files, SEED)
        self.sites = {file.parent.name: Site.read(file) for file in files}
        keys = {name: mask_key(name, SEED) for name in self.sites}
        study = with_members(self.scenario.study, keys)
        self.folder = RunFolder.create(path / "run", study, seed=SEED)
        self.nodes = {
            n: hospital_node(Participant(site=site, simulation_seed=SEED, masked=masked))
            for n, site in enumerate(self.sites.values(), 1)
        }

    def run(self) -> Json:
        loop = RoundLoop(
            exchange=exchange_with(self.nodes), folder=self.folder, expected_sites=4, give_up=True
        )
        return loop.run()

    def fails(self, name: str, *asked: tuple[int, int]) -> None:
        """The client of `name` dies in these (round, attempt)."""
        node = self.nodes[1 + list(self.sites).index(name)]
        answer = node.answer

        def dies(flat: Any) -> Any:
            about = (flat.values.get("round"), flat.values.get("attempt"))
            return 8 if flat.values["kind"] == "train" and about in asked else answer(flat)

        node.answer = dies


def same(one: RunFolder, other: RunFolder) -> None:
    for round in (1, 2):
        theirs = other.load_checkpoint(round)
        for name, array in one.load_checkpoint(round).items():
            np.testing.assert_array_equal(array, theirs[name])


@pytest.mark.parametrize("settings", [(), EXACT], ids=["noised", "exact"])
def test_without_masks_it_is_the_same_bit_by_bit(tmp_path: Path, settings: tuple[str, ...]) -> None:
    masked = Simulated(tmp_path / "a", *settings)
    plain = Simulated(tmp_path / "b", *settings, masked=False)
    results, others = masked.run(), plain.run()
    same(masked.folder, plain.folder)
    (arm,), (other,) = results["arms"].values(), others["arms"].values()
    assert arm["auroc"] == other["auroc"] and arm["privacy"] == other["privacy"]
    assert arm["auroc"]["by_site"] == {}


def test_without_noise_the_step_is_the_plain_sum_to_the_last_bit(tmp_path: Path) -> None:
    run = Simulated(tmp_path, *EXACT)
    run.run()
    study, before = run.folder.study, run.folder.load_checkpoint(0)
    total: Any = 0
    for name, site in run.sites.items():
        dataset = open_dataset(site, study)
        model = new_model(study, seed=0)
        load_arrays(model, before)
        sums = clipped_sum(
            model,
            dataset=dataset,
            plan=plan_round(study, 10, 1),
            randomness=Randomness.reproducible(seed=SEED, site=name, round=1, attempt=1),
            device=torch.device("cpu"),
            memory=site.memory,
        )
        like = {each: before[each] for each in sums}
        grid = grid_of_training(study, sum(array.size for array in like.values()))
        total = total + grid.encode(flatten(sums, like))
    moved = unflatten((total * grid.unit * (-0.5 / 16)).astype(np.float32), like)  # warming up
    after = run.folder.load_checkpoint(1)
    for name, array in moved.items():
        np.testing.assert_array_equal(before[name] + array, after[name])


def test_a_site_that_dies_costs_an_attempt_which_every_ledger_counts(tmp_path: Path) -> None:
    run = Simulated(tmp_path)
    run.fails("south", (2, 1))
    privacy = run.run()["arms"]["federated-secure"]["privacy"]
    line = run.folder.rounds()[1]
    assert [len(each["partners"]) for each in line["secure"]] == [4, 3]
    assert line["sites"]["south"]["outcome"] == "failed"
    for name, site in run.sites.items():
        ledger = Ledger.of(site)
        charged = [(r.round, r.attempt) for r in ledger.reservations() if r.split == "train"]
        told = ledger.epsilon(delta=1e-3)
        if name == "south":  # it died before it was charged, and the server can't know that
            assert charged == [(1, 1)] and told <= privacy[name]["epsilon"]
            continue
        assert charged == [(1, 1), (2, 1), (2, 2)]
        assert privacy[name]["epsilon"] == pytest.approx(told, rel=1e-3)
        alone = ledger.epsilon_alone(delta=1e-3)
        assert privacy[name]["epsilon_alone"] == pytest.approx(alone, rel=1e-3) and alone > told


def test_the_cohort_fills_in_the_number_of_patients(tmp_path: Path) -> None:
    secure = small_scenario(tmp_path / "a", *SECURE).study.federation.secure
    assert secure is not None and secure.patients == 52 and secure.roster is None
    given = (*SECURE[1:], "federation.secure={colluding: 1, patients: 60}")
    secure = small_scenario(tmp_path / "b", *given).study.federation.secure
    assert secure is not None and secure.patients == 60


def test_a_study_without_its_sums_sees_as_many_patients_a_step(tmp_path: Path) -> None:
    study = small_scenario(tmp_path, *SECURE).study
    alone = without_sums(study, 4)
    assert alone.federation.secure is None and alone.training.expected_batch == 4
    plain: Scenario = small_scenario(tmp_path / "plain")
    assert without_sums(plain.study, 4) is plain.study


def test_a_joined_site_must_say_what_may_be_spent_if_all_others_collude(tmp_path: Path) -> None:
    run = Simulated(tmp_path)
    (site, *_) = run.sites.values()
    check_budgets([site], run.folder.study)
    assert site.budget != "none"
    without = site.model_copy(update={"budget": site.budget.model_copy(update={"alone": None})})
    with pytest.raises(ConfigError, match=f"site {site.site}: .* if everybody else colludes"):
        check_budgets([without], run.folder.study)


@pytest.mark.slow
def test_flowers_engine_runs_it_from_the_scenario_alone(tmp_path: Path) -> None:
    scenario = small_scenario(tmp_path, *SECURE, "masks=false", "parallel_sites=1")
    folder = start_run(scenario, tmp_path / "run", seed=SEED)
    simulate(folder)
    results = json.loads((folder.path / "results.json").read_text())
    spent = results["arms"]["federated-secure"]["privacy"]
    assert spent.keys() == {"east", "north", "south", "west"}
    assert all(0 < each["epsilon"] <= 8 < each["epsilon_alone"] for each in spent.values())
    secure = Study.read(folder.path / "study.yaml").federation.secure
    assert secure is not None and secure.roster is not None
    assert [member.name for member in secure.roster.members] == sorted(spent)
    assert "nothing of one" in (folder.path / "report.html").read_text()

"""Whole runs: hospitals on disk, real clients, a real server.

One run is on Flower's simulation engine from its beginning to its end, and one until it is
interrupted; what is not about the engine runs in this process.
"""

import csv
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import yaml

from client.ledger.exposures import at_most, least_exposures
from client.ledger.ledger import Ledger
from client.site.site import Site
from irene_model.exchange.protocol import Arrays, Flat
from irene_model.network.model import IreneModel
from irene_model.privacy.accountants import epsilons
from irene_model.weights.weights import to_arrays
from server.runs.lines import Json
from server.runs.run_folder import RunFolder
from simulations.run import simulate, start_run
from tests.helpers.direct_grid import Node
from tests.helpers.federations.run_here import nodes_of, run_here
from tests.helpers.small_scenario import small_scenario

pytestmark = pytest.mark.slow
THREE_SITES = "cohort.sites=[{name: north}, {name: south}, {name: east}]"


def start(out: Path, *overrides: str) -> RunFolder:
    scenario = small_scenario(
        out.parent / "scenario", "cohort.patients=60", THREE_SITES, *overrides
    )
    return start_run(scenario, out, seed=4)


def site_of(folder: RunFolder, name: str) -> Site:
    return Site.read(folder.path / "hospitals" / name / "site.yaml")


def set_budget(folder: RunFolder, site: str, epsilon: float) -> None:
    path = folder.path / "hospitals" / site / "site.yaml"
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    document["budget"]["epsilon"] = epsilon
    path.write_text(yaml.safe_dump(document), encoding="utf-8")


def copy_of(folder: RunFolder, path: Path) -> RunFolder:
    shutil.copytree(folder.path, path)
    return RunFolder.resume(path)


def outcomes(folder: RunFolder, site: str) -> list[str]:
    return [line["sites"][site]["outcome"] for line in folder.rounds()]


def weights_after(folder: RunFolder, round: int) -> Arrays:
    return to_arrays(IreneModel.from_pretrained(folder.checkpoint(round)))


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run whose hospitals are written and that has not trained yet; east has a small budget."""
    folder = start(tmp_path_factory.mktemp("federation") / "run")
    set_budget(folder, "east", 6.0)  # of the 8 that three rounds spend: enough for one or two
    return folder


@pytest.fixture(scope="module")
def straight(begun: RunFolder) -> RunFolder:
    """The same run from beginning to end."""
    folder = copy_of(begun, begun.path.with_name("straight"))
    simulate(folder)
    return folder


def test_a_site_without_budget_is_declined_and_the_others_go_on(straight: RunFolder) -> None:
    assert outcomes(straight, "north") == outcomes(straight, "south") == ["updated"] * 3
    east = outcomes(straight, "east")
    assert east[0] == "updated" and east[-1] == "declined"
    assert straight.last_round == 3
    last = straight.rounds()[-1]["sites"]
    assert "the site's budget is 6 at delta 0.001" in last["east"]["reason"]
    assert last["east"]["weight"] == 0 and last["east"]["bytes_up"] == 0
    results = json.loads((straight.path / "results.json").read_text())
    privacy = results["arms"]["federated-dp"]["privacy"]
    for name in ("north", "south"):
        assert 0.99 * 8 <= privacy[name]["epsilon"] <= 8
        assert 0.99 * 8 <= last[name]["epsilon"] <= privacy[name]["epsilon"]  # of all splits
    for name, budget in (("north", 8), ("south", 8), ("east", 6)):
        charged = Ledger.of(site_of(straight, name)).reservations()
        both = at_most(least_exposures(charged, delta=1e-3), delta=1e-3)
        assert (privacy[name]["rdp"], privacy[name]["prv"]) == pytest.approx((both.rdp, both.prv))
        assert privacy[name]["epsilon"] == pytest.approx(both.smallest)
        assert 0 < privacy[name]["epsilon"] <= budget
    assert (straight.path / "report.html").exists()


def test_evaluations_are_charged_noised_and_told(straight: RunFolder) -> None:
    results = json.loads((straight.path / "results.json").read_text())["arms"]["federated-dp"]
    north, east = (results["evaluation"]["sites"][name] for name in ("north", "east"))
    assert north["outcome"] == "evaluated" and north["noise_multiplier"] > 0
    assert east["outcome"] == "declined" and "the site's budget is 6" in east["reason"]
    evaluations = [
        (r.split, r.round, r.released)
        for r in Ledger.of(site_of(straight, "north")).reservations()
        if r.split != "train"
    ]
    assert evaluations == [
        ("validation", 1, True), ("validation", 2, True), ("validation", 3, True),
        ("test", 3, True),
    ]  # fmt: skip
    run = json.loads((straight.path / "run.json").read_text())
    assert any("test patients, once, from north, south:" in s for s in run["inside_guarantee"])
    assert not any("exact" in sentence for sentence in run["outside_guarantee"])
    page = (straight.path / "report.html").read_text(encoding="utf-8")
    assert all(sentence in page for sentence in run["inside_guarantee"])


def test_without_any_metrics_a_run_goes_on(begun: RunFolder) -> None:
    folder = copy_of(begun, begun.path.with_name("silent"))
    for name in ("north", "south", "east"):
        path = folder.path / "hospitals" / name / "site.yaml"
        path.write_text(path.read_text(encoding="utf-8") + "metrics: off\n", encoding="utf-8")
    run_here(folder)
    assert folder.last_round == 3
    assert folder.rounds()[-1]["evaluation"]["auroc"] is None
    page = (folder.path / "report.html").read_text(encoding="utf-8")
    assert page.count("declined: metrics are turned off at this site") == 3
    charged = Ledger.of(site_of(folder, "north")).reservations()
    assert {r.split for r in charged} == {"train"}


def test_without_noise_exact_metrics_leave_and_are_listed(tmp_path: Path) -> None:
    folder = start(tmp_path / "run", "privacy.noise_multiplier=0", "federation.rounds=1")
    for name in ("north", "south"):  # the groups in east are too small for its minimum of ten
        path = folder.path / "hospitals" / name / "site.yaml"
        path.write_text(path.read_text(encoding="utf-8") + "minimum_group: 1\n", encoding="utf-8")
    run_here(folder)
    results = json.loads((folder.path / "results.json").read_text())["arms"]["federated"]
    assert results["auroc"]["macro"] is not None
    assert results["auroc"]["by_site"]["east"] is None
    run = json.loads((folder.path / "run.json").read_text())
    assert run["inside_guarantee"] == []
    assert any("test patients, once" in s and "exact" in s for s in run["outside_guarantee"])
    assert any("minimum group" in s and "east (" in s for s in run["outside_guarantee"])


def test_every_site_paid_what_the_run_says(straight: RunFolder) -> None:
    for name in ("north", "south", "east"):
        ledger = Ledger.of(site_of(straight, name))
        updated = [
            line for line in straight.rounds() if line["sites"][name]["outcome"] == "updated"
        ]
        trained = [r for r in ledger.reservations() if r.split == "train"]
        assert len(trained) == len(updated)
        assert all(reservation.released for reservation in ledger.reservations())
        spent = epsilons((r.mechanism for r in trained), delta=1e-3).smallest
        told = [line["sites"][name]["epsilon"] for line in straight.rounds()]
        assert spent <= updated[-1]["sites"][name]["epsilon"] <= 8
        assert told == sorted(told) and told[0] > 0


def test_the_new_weights_are_the_weighted_mean_of_the_updates(straight: RunFolder) -> None:
    """The last round's updates still lie in the ledgers of the sites that gave one.

    Two sites are left, and neither has more than half of the mean, whatever size it declared.
    """
    from safetensors.numpy import load

    before, after = weights_after(straight, 2), weights_after(straight, 3)
    last = straight.rounds()[-1]["sites"]
    updates: list[Arrays] = []
    for name in ("north", "south"):
        ledger = Ledger.of(site_of(straight, name))
        trained = [r for r in ledger.reservations() if r.split == "train"]
        updates.append(load(ledger.outbox(trained[-1])))
    assert last["north"]["weight"] != last["south"]["weight"]
    for name, array in before.items():
        mean = sum(update[name].astype(np.float64) for update in updates) / 2
        np.testing.assert_allclose(after[name], array + mean, rtol=1e-5, atol=1e-7, err_msg=name)


def test_the_server_logs_into_the_run_and_not_on_the_terminal(straight: RunFolder) -> None:
    log = (straight.path / "run.log").read_text(encoding="utf-8")
    assert "server.rounds.attendance: site north is here" in log
    assert "round 3, site east: the round would bring epsilon to" in log
    assert (straight.path / "hospitals" / "north" / ".irene" / "client.log").exists()


def test_nothing_that_is_logged_or_sent_holds_a_patients_value(straight: RunFolder) -> None:
    """Ids, complaints, file names and laboratory values of every site, in all that was written."""
    written = [p for p in straight.path.glob("*") if p.is_file() and p.suffix != ".png"]
    written += list(straight.path.glob("hospitals/*/.irene/*.log"))
    assert len(written) >= 6 + 3 and straight.path / "run.log" in written
    told = "\n".join(path.read_text(encoding="utf-8") for path in written)
    words = set(re.findall(r"[\w.-]+", told))
    for table in straight.path.glob("hospitals/*/encounters.csv"):
        with table.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                unique = [row[name] for name in ("encounter_id", "patient_id", "image")]
                # Short numbers are counts somewhere by chance; those with a fraction are not.
                unique += [v for k, v in row.items() if k.startswith("lab_") and len(v) > 4]
                assert words.isdisjoint(filter(None, unique)), table
                assert len(row["complaint"]) < 12 or row["complaint"] not in told, table


def test_an_interrupted_run_resumes_to_the_same_end(begun: RunFolder, straight: RunFolder) -> None:
    folder = copy_of(begun, begun.path.with_name("interrupted"))

    def interrupt(line: Json) -> None:
        raise InterruptedError(f"after round {line['round']}")

    with pytest.raises(InterruptedError, match="after round 1"):
        simulate(folder, observe=interrupt)
    assert folder.last_round == 1 and not (folder.path / "results.json").exists()
    seen: list[int] = []
    resumed = RunFolder.resume(folder.path)
    run_here(resumed, observe=lambda line: seen.append(line["round"]))
    assert seen == [2, 3]
    assert [line["round"] for line in resumed.rounds()] == [1, 2, 3]
    expected = weights_after(straight, 3)
    for name, array in weights_after(resumed, 3).items():
        np.testing.assert_array_equal(array, expected[name], err_msg=name)
    for name in ("north", "south", "east"):
        assert outcomes(resumed, name) == outcomes(straight, name)
        spent, as_if = (
            Ledger.of(site_of(run, name)).epsilon(delta=1e-3) for run in (resumed, straight)
        )
        assert spent == as_if > 0
    results, others = (
        json.loads((run.path / "results.json").read_text())["arms"]["federated-dp"]
        for run in (resumed, straight)
    )
    assert results["auroc"] == others["auroc"] and results["privacy"] == others["privacy"]


def spoilt(node: Node, bias: npt.NDArray[np.float32]) -> Node:
    """The real client, in whose updates the bias is replaced before they are sent."""

    def answer(flat: Flat) -> Any:
        reply: Any = node.answer(flat)
        if flat.values["kind"] != "train":
            return reply
        return reply.model_copy(update={"arrays": {**reply.arrays, "head.bias": bias}})

    return Node(answer)


def test_hostile_updates_are_refused_and_named_and_the_others_aggregate(tmp_path: Path) -> None:
    folder = start(tmp_path / "run", "federation.rounds=2", "federation.minimum_sites=1")
    nodes = nodes_of(folder)
    nodes["south"] = spoilt(nodes["south"], np.full(2, np.nan, np.float32))
    nodes["east"] = spoilt(nodes["east"], np.zeros(1, np.float32))
    run_here(folder, nodes)
    for line in folder.rounds():
        sites = line["sites"]
        assert sites["north"]["outcome"] == "updated"
        assert sites["south"]["outcome"] == sites["east"]["outcome"] == "refused"
        assert sites["south"]["reason"].endswith("'head.bias' holds a value that is not finite")
        assert sites["east"]["reason"].endswith("'head.bias' has shape (1,), not (2,)")
    weights = weights_after(folder, 2)
    assert all(np.isfinite(array).all() for array in weights.values())
    arm = json.loads((folder.path / "results.json").read_text())["arms"]["federated-dp"]
    for name in ("north", "south", "east"):  # what was refused was spent
        charged = Ledger.of(site_of(folder, name)).reservations()
        assert sum(r.split == "train" for r in charged) == 2
        spent = at_most(least_exposures(charged, delta=1e-3), delta=1e-3).smallest
        assert arm["privacy"][name]["epsilon"] == pytest.approx(spent)

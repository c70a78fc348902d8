"""A federation of three sites in this process, which a test changes between rounds."""

from pathlib import Path
from typing import Any

from irene_model.study.study import Study
from server.rounds.round_loop import RoundLoop
from server.runs.lines import Json
from server.runs.run_folder import RunFolder
from tests.helpers.direct_grid import Node, exchange_with
from tests.helpers.made_up_site import made_up_site, study_of


class Federation:
    """A run whose nodes a test changes between rounds."""

    def __init__(self, path: Path, study: Study, nodes: dict[int, Node]) -> None:
        self.nodes = nodes
        self.folder = RunFolder.create(path, study, seed=1)
        self.after: dict[int, Any] = {}
        self.give_up = True

    def run(self) -> list[Json]:
        def observe(line: Json) -> None:
            self.after.get(line["round"], lambda: None)()

        RoundLoop(
            exchange=exchange_with(self.nodes),
            folder=self.folder,
            expected_sites=len(self.nodes),
            give_up=self.give_up,
            observe=observe,
        ).run()
        return self.folder.rounds()

    def moved(self, round: int) -> float:
        """By how much a round moved the first weight; all move alike."""
        before, after = (self.folder.load_checkpoint(r) for r in (round - 1, round))
        return float((after["head.bias"] - before["head.bias"])[0])


def three_sites(study: Study) -> dict[int, Node]:
    return {n: made_up_site(study, site) for n, site in enumerate(("east", "north", "south"), 1)}


def outcomes(line: Json) -> dict[str, str]:
    return {site: entry["outcome"] for site, entry in line["sites"].items()}


ALL = dict.fromkeys(("east", "north", "south"), "updated")


def federation(path: Path, **changes: Any) -> Federation:
    study = study_of({"round_deadline_s": 0.4, **changes})
    return Federation(path / "run", study, three_sites(study))

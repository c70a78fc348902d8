"""A SuperLink that answers 500 now and then, as Flower's does where its database is locked."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from flwr.serverapp import Grid

from server.rounds.exchange import Exchange
from server.rounds.looks import Looks
from server.rounds.round_loop import RoundLoop
from server.runs.run_folder import RunFolder
from tests.helpers.direct_grid import DirectGrid
from tests.helpers.federations.three_sites import ALL, outcomes, three_sites
from tests.helpers.made_up_site import study_of

pytestmark = pytest.mark.usefixtures("hurried")


class Failing(DirectGrid):
    """Every fourth look fails with `status`."""

    looks = 0
    status = 500

    def _now(self, look: Callable[[], Any]) -> Any:
        self.looks += 1
        if self.looks % 4 == 0:
            request = httpx.Request("POST", "https://localhost/v1/runtime/pull-messages")
            answer = httpx.Response(self.status, request=request)
            raise httpx.HTTPStatusError("failed", request=request, response=answer)
        return look()

    def get_node_ids(self) -> Any:
        return self._now(super().get_node_ids)

    def pull_messages(self, identifiers: Any) -> Any:
        return self._now(lambda: super(Failing, self).pull_messages(identifiers))


def loop(path: Path, status: int) -> tuple[RoundLoop, RunFolder, Failing]:
    study = study_of({"round_deadline_s": 5})
    grid = Failing(three_sites(study))
    grid.status = status
    folder = RunFolder.create(path / "run", study, seed=1)
    exchange = Exchange(cast(Grid, grid), looks=Looks(least_s=0.01))
    rounds = RoundLoop(exchange=exchange, folder=folder, expected_sites=3, give_up=True)
    return rounds, folder, grid


def test_it_is_looked_at_again_and_the_run_goes_on(tmp_path: Path) -> None:
    rounds, folder, grid = loop(tmp_path, 500)
    rounds.run()
    assert [outcomes(line) for line in folder.rounds()] == [ALL] * 3
    assert grid.looks > 20


def test_a_run_that_it_refuses_ends(tmp_path: Path) -> None:
    """Flower answers 403 to a run that was stopped: nobody should look for ever."""
    rounds, _, _ = loop(tmp_path, 403)
    with pytest.raises(httpx.HTTPStatusError):
        rounds.run()

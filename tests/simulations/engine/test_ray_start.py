"""Ray that does not start: tried again, and then one clear error."""

import pytest
import ray

from irene_model.errors import IreneError
from simulations.engine import engine


def test_ray_is_started_again_and_in_the_end_the_reason_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tries = []

    def late(**_options: object) -> None:
        tries.append(1)
        if len(tries) != 5:
            raise Exception("The current node timed out during startup.")

    monkeypatch.setattr(ray, "init", late)
    with pytest.raises(IreneError, match=r"did not start .* in 3 tries \(Exception\)"):
        engine._start_ray(2)
    assert len(tries) == 3
    engine._start_ray(2)
    assert len(tries) == 5

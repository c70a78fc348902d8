import numpy as np
import pytest

from irene_model.errors import ProtocolError
from irene_model.exchange.protocol import Flat, check_update
from irene_model.exchange.replies import TrainReply
from irene_model.exchange.requests import TrainRequest, read_study

REQUEST = TrainRequest(
    study="{}",
    fingerprint="f",
    deadline=9e9,
    run="r",
    round=2,
    arrays={"w": np.ones(3, np.float32)},
)


def test_a_message_survives_its_flat_form() -> None:
    flat = REQUEST.to_flat()
    assert all(isinstance(v, str | int | float | bool) for v in flat.values.values())
    again = TrainRequest.from_flat(flat)
    assert (again.study, again.run, again.round) == ("{}", "r", 2)
    np.testing.assert_array_equal(again.arrays["w"], REQUEST.arrays["w"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"round": "2"}, "round"),
        ({"round": 0}, "round"),
        ({"round": None}, "round"),
        ({"extra": 1}, "extra"),
        ({"kind": "evaluate"}, "kind 'train'"),
        ({"protocol": 0}, "protocol"),
    ],
)
def test_another_form_is_refused_by_field(change: dict[str, object], said: str) -> None:
    flat = REQUEST.to_flat()
    values = {k: v for k, v in {**flat.values, **change}.items() if v is not None}
    with pytest.raises(ProtocolError, match=said):
        TrainRequest.from_flat(Flat(arrays=flat.arrays, values=values))  # type: ignore[arg-type]


def test_an_infinite_epsilon_travels() -> None:
    reply = TrainReply(
        site="a", round=1, fingerprint="f", outcome="updated", epsilon_run=float("inf")
    )
    assert TrainReply.from_flat(reply.to_flat()).epsilon_run == float("inf")


@pytest.mark.parametrize(
    ("update", "said"),
    [
        ({"a": np.ones(2, np.float32)}, "'b' is missing"),
        ({"a": np.ones(2, np.float32), "b": np.ones(1), "c": np.ones(1)}, "'c' is unknown"),
        ({"a": np.ones(3, np.float32), "b": np.ones(1, np.float32)}, "shape"),
        ({"a": np.ones(2, np.float64), "b": np.ones(1, np.float32)}, "float64"),
        ({"a": np.array([1, np.nan], np.float32), "b": np.ones(1, np.float32)}, "not finite"),
        ({"a": np.array([1, np.inf], np.float32), "b": np.ones(1, np.float32)}, "not finite"),
    ],
)  # fmt: skip
def test_a_bad_update_is_refused(update: dict[str, np.ndarray], said: str) -> None:
    like = {"a": np.zeros(2, np.float32), "b": np.zeros(1, np.float32)}
    check_update({"a": np.ones(2, np.float32), "b": np.ones(1, np.float32)}, like)
    with pytest.raises(ProtocolError, match=said):
        check_update(update, like)


def test_a_study_that_is_no_json_is_refused() -> None:
    with pytest.raises(ProtocolError):
        read_study("{")

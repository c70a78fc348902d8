"""Named arrays and one vector, there and back; sums refuse what is no masked vector."""

import numpy as np
import pytest

from irene_model.errors import ProtocolError
from irene_model.secure.sums import add, check_masked, empty
from irene_model.secure.vector import dimensions, flatten, unflatten

LIKE = {"b": np.zeros((2, 3)), "a": np.zeros(4), "c.weight": np.zeros(()), "none": np.zeros((0, 2))}


def test_a_vector_is_read_back_in_the_order_of_names() -> None:
    arrays = {
        "c.weight": np.float32(9).reshape(()), "b": np.arange(6, dtype=np.float32).reshape(2, 3),
        "a": np.array([7.0, 7, 7, 8]), "none": np.zeros((0, 2)),
    }  # fmt: skip
    vector = flatten(arrays, LIKE)
    assert vector.dtype == np.float32
    assert vector.tolist() == [7, 7, 7, 8, 0, 1, 2, 3, 4, 5, 9]
    assert dimensions(LIKE) == 11
    again = unflatten(vector, LIKE)
    assert all(np.array_equal(again[name], arrays[name]) for name in LIKE)


def test_other_names_shapes_and_lengths_are_refused() -> None:
    arrays = {name: array.copy() for name, array in LIKE.items()}
    with pytest.raises(ProtocolError, match="missing: 'a'"):
        flatten({name: arrays[name] for name in ("b", "c.weight", "none")}, LIKE)
    with pytest.raises(ProtocolError, match="unknown: 'zz'"):
        flatten({**arrays, "zz": np.zeros(1)}, LIKE)
    with pytest.raises(ProtocolError, match="'b' has shape"):
        flatten({**arrays, "b": np.zeros((3, 2))}, LIKE)
    with pytest.raises(ProtocolError, match="a sum has shape"):
        unflatten(np.zeros(12), LIKE)
    with pytest.raises(ProtocolError, match="a sum has shape"):
        unflatten(np.zeros((11, 1)), LIKE)


def test_only_masked_vectors_of_the_studys_length_are_added() -> None:
    total = empty(4)
    add(total, np.array([1, 2**32 - 1, 0, 5], dtype=np.uint32))
    add(total, np.array([1, 2, 0, 2**32 - 6], dtype=np.uint32))
    assert total.tolist() == [2, 1, 0, 2**32 - 1]
    for odd in (np.zeros(3, np.uint32), np.zeros(4, np.int32), np.zeros((2, 2), np.uint32)):
        with pytest.raises(ProtocolError, match="a masked sum is"):
            add(total, odd)
    with pytest.raises(ProtocolError, match="a masked sum is"):
        check_masked(np.zeros(4), 4)

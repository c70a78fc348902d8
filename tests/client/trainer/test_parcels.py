"""What goes through the trainer's socket comes out the same, and what is none is refused."""

import contextlib
import json
import socket
import struct
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.trainer import parcels
from client.trainer.parcels import LONGEST_ARRAY, LONGEST_HEADER, NoParcel, Parcel, receive, send
from irene_model.study.wire import Packed

plain = st.one_of(st.text(), st.integers(), st.booleans(), st.floats(allow_nan=False))
packed = st.builds(
    Packed,
    encoding=st.text(max_size=10),
    shape=st.lists(st.integers(0, 9), max_size=4).map(tuple),
    data=st.binary(max_size=2000),
)


def through(parcel: Parcel) -> Parcel:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.settimeout(10)
        sender = threading.Thread(target=_tried, args=(ours, parcel))
        sender.start()
        try:
            return receive(theirs)
        finally:
            theirs.close()  # whose parcel was refused must not wait for its reader
            sender.join()


def _tried(peer: socket.socket, parcel: Parcel) -> None:
    with contextlib.suppress(OSError):  # the reader may have left
        send(peer, parcel)


@given(
    facts=st.dictionaries(st.text(), plain, max_size=5),
    arrays=st.dictionaries(st.text(), packed, max_size=5),
)
def test_what_goes_in_comes_out(facts: dict[str, Any], arrays: dict[str, Packed]) -> None:
    found = through(Parcel(facts=facts, arrays=arrays))
    assert (found.facts, found.arrays) == (facts, arrays)


def test_a_large_array_comes_whole() -> None:
    data = bytes(range(256)) * 40_000
    sent = Parcel(facts={}, arrays={"a": Packed(encoding="e", shape=(len(data),), data=data)})
    assert through(sent) == sent and "data" not in repr(sent)


def header(document: Any) -> bytes:
    text = json.dumps(document).encode()
    return struct.pack(">Q", len(text)) + text


NONE: list[bytes] = [
    b"",
    b"GET / HTTP/1.1\r\n\r\n",
    struct.pack(">Q", LONGEST_HEADER + 1) + b"{}",
    struct.pack(">Q", 2**63),
    struct.pack(">Q", 100) + b"{}",
    struct.pack(">Q", 2) + b"\xff\xfe",
    struct.pack(">Q", 4) + b"null",
    header([]),
    header({"facts": [], "arrays": []}),
    header({"facts": {}, "arrays": {}})[:-1],
    header({"facts": {}}),
    header({"facts": {}, "arrays": [["a", "e", [2], LONGEST_ARRAY + 1]]}),
    header({"facts": {}, "arrays": [["a", "e", [2], -1]]}),
    header({"facts": {}, "arrays": [["a", "e", [-2], 2]]}),
    header({"facts": {}, "arrays": [["a", "e", [True], 1]]}),
    header({"facts": {}, "arrays": [["a", "e", [2.0], 2]]}),
    header({"facts": {}, "arrays": [["a", "e", [10**9] * 9, 2]]}),
    header({"facts": {}, "arrays": [["a", "e", [1] * 33, 1]]}),
    header({"facts": {}, "arrays": [["a", 5, [2], 2]]}),
    header({"facts": {}, "arrays": [[5, "e", [2], 2]]}),
    header({"facts": {}, "arrays": [["a", "e", [2]]]}),
    header({"facts": {}, "arrays": [["a", "e", [2], 2]]}) + b"1",
    struct.pack(">Q", 400_000) + b"[" * 400_000,
]


@pytest.mark.parametrize("said", NONE)
def test_what_is_no_parcel_is_refused(said: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.settimeout(10)
        sender = threading.Thread(target=lambda: (ours.sendall(said), ours.close()))
        sender.start()
        with pytest.raises(NoParcel):
            receive(theirs)
        sender.join()


def test_more_arrays_than_any_message_has_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parcels, "MOST_ARRAYS", 2)
    few = {name: Packed(encoding="e", shape=(), data=b"") for name in "abc"}
    with pytest.raises(NoParcel):
        through(Parcel(facts={}, arrays=few))


def test_silence_is_told_from_an_end() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.settimeout(0.1)
        ours.sendall(b"12")
        with pytest.raises(TimeoutError):
            receive(theirs)

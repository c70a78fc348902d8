"""Who may join: keys that are refused, names that are taken, and what is written down."""

import hashlib
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from irene_model.errors import ConfigError, IreneError
from server.coordinator.control import Control, ControlError, NodeStatus
from server.coordinator.coordinator import Coordinator
from server.coordinator.enrolment import (
    Enrolment,
    check_name,
    enroll,
    expel,
    read_public_key,
    restore,
)
from tests.helpers.coordinator_folder import new_coordinator, write_keys


class Registry(Control):
    """Stands for Flower: remembers keys for ever, as it does."""

    def __init__(self) -> None:
        self.keys: dict[bytes, str] = {}
        self.names: dict[str, str] = {}
        self.first = 10**19

    def register(self, key: Path, name: str) -> str:
        line = key.read_bytes()
        if line in self.keys:
            raise ControlError("flwr supernode: [code: 5] Public key already in use.")
        node = str(self.first + len(self.keys))
        self.keys[line] = node
        self.names[node] = name
        return node

    def unregister(self, node_id: str) -> None:
        del self.names[node_id]

    def nodes(self) -> dict[str, NodeStatus]:
        return {node: NodeStatus(online=False, since=None) for node in self.names}

    def forget(self) -> None:
        """Its database is lost."""
        self.keys, self.names, self.first = {}, {}, self.first + 1000


@pytest.fixture
def coordinator(tmp_path: Path) -> Coordinator:
    return new_coordinator(tmp_path / "federation")


def test_a_site_is_enrolled_and_expelled(coordinator: Coordinator, tmp_path: Path) -> None:
    registry, key = Registry(), write_keys(tmp_path, "north")
    assert Enrolment.read(coordinator.enrolled).sites == {}
    site = enroll(coordinator, registry, key, "north")
    digest = hashlib.sha256(key.read_bytes()).hexdigest()
    written = json.loads(coordinator.enrolled.read_text())
    assert written == {
        "schema": 1,
        "sites": {
            "north": {
                "node_id": "10000000000000000000",
                "key_sha256": digest,
                "enrolled": site.enrolled,
                "key": " ".join(key.read_text().split()[:2]),
            }
        },
    }
    assert coordinator.enrolled.stat().st_mode & 0o777 == 0o600
    enroll(coordinator, registry, write_keys(tmp_path, "south"), "south")
    assert list(Enrolment.read(coordinator.enrolled).sites) == ["north", "south"]
    expel(coordinator, registry, "north")
    assert list(Enrolment.read(coordinator.enrolled).sites) == ["south"]
    assert list(registry.names.values()) == ["south"]
    events = [(e.kind, json.loads(e.content)) for e in coordinator.journal.entries()]
    assert [kind for kind, _ in events] == ["enrolled", "enrolled", "expelled"]
    assert events[0][1]["key_sha256"] == events[2][1]["key_sha256"] == digest


def test_names_and_keys_are_taken_once(coordinator: Coordinator, tmp_path: Path) -> None:
    registry, key = Registry(), write_keys(tmp_path, "north")
    enroll(coordinator, registry, key, "north")
    before = coordinator.enrolled.read_bytes()
    with pytest.raises(ConfigError, match="--name north: is enrolled already; irene-server expel"):
        enroll(coordinator, registry, write_keys(tmp_path, "other"), "north")
    with pytest.raises(ConfigError, match="is enrolled already, as north"):
        enroll(coordinator, registry, key, "south")
    assert coordinator.enrolled.read_bytes() == before
    assert len(registry.keys) == 1
    expel(coordinator, registry, "north")
    with pytest.raises(ConfigError, match=r"Flower knows this key already.*ask the hospital for"):
        enroll(coordinator, registry, key, "north")
    with pytest.raises(ConfigError, match="north: is not enrolled; nobody is"):
        expel(coordinator, registry, "north")


@pytest.fixture
def forgotten(coordinator: Coordinator, tmp_path: Path) -> Registry:
    """A SuperLink that lost its database, after north and south were enrolled and east expelled."""
    registry = Registry()
    for name in ("north", "south", "east"):
        enroll(coordinator, registry, write_keys(tmp_path, name), name)
    expel(coordinator, registry, "east")
    registry.forget()
    return registry


def test_a_lost_database_is_made_good_by_each_command(
    coordinator: Coordinator, tmp_path: Path, forgotten: Registry
) -> None:
    def known() -> dict[str, str | None]:
        return {n: s.node_id for n, s in Enrolment.read(coordinator.enrolled).sites.items()}

    before = Enrolment.read(coordinator.enrolled).sites
    assert restore(coordinator, forgotten) == ["north", "south"]
    assert known() == {name: node for node, name in forgotten.names.items()}
    after = Enrolment.read(coordinator.enrolled).sites
    assert after["north"].enrolled == before["north"].enrolled
    assert after["north"].key_sha256 == before["north"].key_sha256
    assert restore(coordinator, forgotten) == []
    forgotten.forget()
    enroll(coordinator, forgotten, write_keys(tmp_path, "west"), "west")
    assert known() == {name: node for node, name in forgotten.names.items()}
    assert sorted(known()) == ["north", "south", "west"]
    forgotten.forget()
    expel(coordinator, forgotten, "south")
    assert known() == {name: node for node, name in forgotten.names.items()}
    assert sorted(known()) == ["north", "west"]
    kinds = [entry.kind for entry in coordinator.journal.entries()]
    assert kinds.count("registered again") == 2 + 2 + 2


def test_an_older_copy_of_the_database_lets_nobody_in_who_was_expelled(
    coordinator: Coordinator, tmp_path: Path
) -> None:
    registry = Registry()
    for name in ("north", "south"):
        enroll(coordinator, registry, write_keys(tmp_path, name), name)
    copy = dict(registry.keys), dict(registry.names)
    expel(coordinator, registry, "south")
    enroll(coordinator, registry, write_keys(tmp_path, "east"), "east")
    registry.keys, registry.names = copy
    registry.first += 1000
    assert restore(coordinator, registry) == ["east"]
    assert sorted(registry.names.values()) == ["east", "north"]
    assert coordinator.journal.entries()[-1].kind == "shut out again"
    coordinator.enrolled.unlink()  # its loss shuts nobody out
    assert restore(coordinator, registry) == []
    assert sorted(registry.names.values()) == ["east", "north"]


def test_an_expelled_key_stays_so_after_the_loss_also_with_another_comment(
    coordinator: Coordinator, tmp_path: Path, forgotten: Registry
) -> None:
    key = tmp_path / "east.pub"
    for comment in (b" someone@somewhere", b" other@elsewhere"):
        key.write_bytes(b" ".join(key.read_bytes().split()[:2]) + comment + b"\n")
        for name in ("east", "west"):
            with pytest.raises(ConfigError, match="once enrolled is not taken again"):
                enroll(coordinator, forgotten, key, name)
    north = tmp_path / "north.pub"
    north.write_bytes(b" ".join(north.read_bytes().split()[:2]) + b" other\n")
    with pytest.raises(ConfigError, match="is enrolled already, as north"):
        enroll(coordinator, forgotten, north, "west")


def test_a_site_whose_key_was_not_kept_is_named_and_enrolled_with_the_same_file(
    coordinator: Coordinator, tmp_path: Path, forgotten: Registry
) -> None:
    sites = Enrolment.read(coordinator.enrolled).sites  # as an older version wrote it
    old = {**sites, "north": sites["north"].model_copy(update={"key": None})}
    Enrolment(sites=old).write(coordinator.enrolled)
    with pytest.raises(ConfigError, match=r"has forgotten north.*same \.pub file again"):
        restore(coordinator, forgotten)
    assert list(forgotten.names.values()) == ["south"]  # whoever can be is
    with pytest.raises(ConfigError, match="--name north: is enrolled already"):
        enroll(coordinator, forgotten, write_keys(tmp_path, "other"), "north")
    enroll(coordinator, forgotten, tmp_path / "north.pub", "north")
    assert restore(coordinator, forgotten) == []
    assert sorted(forgotten.names.values()) == ["north", "south"]


def test_a_crash_between_flower_and_the_file_blocks_nobody_else(
    coordinator: Coordinator, tmp_path: Path, forgotten: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Enrolment, "write", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            restore(coordinator, forgotten)
    with pytest.raises(ConfigError, match="has forgotten north"):
        restore(coordinator, forgotten)
    enroll(coordinator, forgotten, write_keys(tmp_path, "west"), "west")
    expel(coordinator, forgotten, "north")
    assert restore(coordinator, forgotten) == []


def test_a_private_key_is_refused_in_each_format(tmp_path: Path) -> None:
    write_keys(tmp_path, "north")
    key = ec.generate_private_key(ec.SECP384R1())
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )
    (tmp_path / "pem").write_bytes(pem)
    for name in ("north", "pem"):
        with pytest.raises(ConfigError, match="is a private key, which must never leave") as told:
            read_public_key(tmp_path / name)
        assert "BEGIN" not in str(told.value)


def test_what_is_no_public_ecdsa_key_is_refused(tmp_path: Path) -> None:
    other = write_keys(tmp_path, "ed25519", ed25519.Ed25519PrivateKey.generate())
    with pytest.raises(ConfigError, match="of another kind than ECDSA"):
        read_public_key(other)
    (tmp_path / "text.pub").write_text("ecdsa-sha2-nistp384 AAAA\n")
    (tmp_path / "large.pub").write_bytes(b"x" * 5000)
    pem = ec.generate_private_key(ec.SECP256R1()).public_key()
    (tmp_path / "pem.pub").write_bytes(
        pem.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    for name in ("text.pub", "large.pub", "pem.pub"):
        with pytest.raises(ConfigError, match=r"is no public key.*irene-client keygen"):
            read_public_key(tmp_path / name)
    with pytest.raises(ConfigError, match="can't be read"):
        read_public_key(tmp_path)


@pytest.mark.parametrize("name", ["", "-north", "north\n", "north;south", "x" * 81, "../north"])
def test_a_name_that_no_site_can_have_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="--name: expected the site's name"):
        check_name(name)


def test_a_damaged_file_is_named_and_not_overwritten(
    coordinator: Coordinator, tmp_path: Path
) -> None:
    coordinator.enrolled.write_text("{")
    with pytest.raises(ConfigError, match=r"enrolled\.json: can't be read as JSON"):
        enroll(coordinator, Registry(), write_keys(tmp_path, "north"), "north")
    coordinator.enrolled.write_text('{"schema": 2, "sites": {}}')
    with pytest.raises(ConfigError, match=r"enrolled\.json: schema"):
        enroll(coordinator, Registry(), write_keys(tmp_path, "north"), "north")
    assert coordinator.enrolled.read_text() == '{"schema": 2, "sites": {}}'


def test_another_refusal_of_flower_is_passed_on(coordinator: Coordinator, tmp_path: Path) -> None:
    class Refusing(Registry):
        def register(self, key: Path, name: str) -> str:
            raise ControlError("flwr supernode: the SuperLink is gone")

    with pytest.raises(IreneError, match="is gone"):
        enroll(coordinator, Refusing(), write_keys(tmp_path, "north"), "north")
    assert not coordinator.enrolled.exists()

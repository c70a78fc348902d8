"""The roster: mask keys beside node keys, and who may not be in it."""

import hashlib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from irene_model.errors import ConfigError
from irene_model.study.secure import Roster
from irene_model.study.settings import parse, read_mapping
from server.cli import app
from server.coordinator.coordinator import Coordinator
from server.coordinator.enrolment import Enrolment, enroll, expel, restore
from server.coordinator.roster import check_roster, read_mask_key, roster_of, write_roster
from tests.helpers.coordinator_folder import new_coordinator, write_keys
from tests.helpers.federations.masked_sites import NAMES, keys_of, secure_study
from tests.server.coordinator.test_enrolment import Registry


@pytest.fixture
def coordinator(tmp_path: Path) -> Coordinator:
    return new_coordinator(tmp_path / "federation")


def enrolled(coordinator: Coordinator, folder: Path, names: tuple[str, ...] = NAMES) -> Registry:
    registry = Registry()
    for name in names:
        key = write_keys(folder, name)
        enroll(coordinator, registry, key, name, mask_key=keys_of()[name].public)
    return registry


def test_it_holds_the_keys_that_were_enrolled(coordinator: Coordinator, tmp_path: Path) -> None:
    enrolled(coordinator, tmp_path)
    out = tmp_path / "roster.yaml"
    said = CliRunner().invoke(app, ["roster", str(coordinator.path), "--out", str(out)])
    assert said.exit_code == 0, said.output
    roster = parse(Roster, read_mapping(out), out)
    assert [member.name for member in roster.members] == list(NAMES)
    assert [m.mask_key for m in roster.members] == [k.public for k in keys_of().values()]
    line = " ".join((tmp_path / "east.pub").read_text().split()[:2]) + "\n"
    assert roster.members[0].node_key == hashlib.sha256(line.encode()).hexdigest()
    assert roster.fingerprint in said.output.replace(" ", "").replace("\n", "")
    with pytest.raises(ConfigError, match="is there already; a changed roster is a changed study"):
        write_roster(roster, out)


def test_a_site_without_a_mask_key_is_left_out_and_gets_one_later(
    coordinator: Coordinator, tmp_path: Path
) -> None:
    registry = enrolled(coordinator, tmp_path, NAMES[:3])
    key = write_keys(tmp_path, "west")
    enroll(coordinator, registry, key, "west")
    assert roster_of(coordinator)[1] == ["west"]
    node = Enrolment.read(coordinator.enrolled).sites["west"].node_id
    enroll(coordinator, registry, key, "west", mask_key=keys_of()["west"].public)
    roster, lacking = roster_of(coordinator)
    assert len(roster.members) == 4 and lacking == []
    assert Enrolment.read(coordinator.enrolled).sites["west"].node_id == node
    with pytest.raises(ConfigError, match="--mask-key: west is enrolled with another mask key"):
        enroll(coordinator, registry, key, "west", mask_key="ab" * 32)
    with pytest.raises(ConfigError, match="is enrolled already, as that of east"):
        enroll(
            coordinator, registry, write_keys(tmp_path, "new"), "new",
            mask_key=keys_of()["east"].public,
        )  # fmt: skip


def test_a_lost_database_of_flowers_loses_no_mask_key(
    coordinator: Coordinator, tmp_path: Path
) -> None:
    registry = enrolled(coordinator, tmp_path)
    before = roster_of(coordinator)
    registry.forget()
    restore(coordinator, registry)
    assert roster_of(coordinator) == before


def test_two_are_too_few(coordinator: Coordinator, tmp_path: Path) -> None:
    registry = enrolled(coordinator, tmp_path, NAMES[:3])
    expel(coordinator, registry, "north")
    with pytest.raises(ConfigError, match="2 sites are enrolled with a mask key, and secure sums"):
        roster_of(coordinator)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\1" * 32, "may be a private mask key, which must never leave the hospital"),
        (b"", "is no public mask key; ask the hospital for the mask.pub"),
        (b"AB" * 32, "is no public mask key"),
        (b"ab" * 5000, "is no public mask key"),
        (b"ssh-ed25519 AAAA", "is no public mask key"),
    ],
)
def test_another_file_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "mask.pub"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=said):
        read_mask_key(path)
    path.write_text(f"{keys_of()['east'].public}\n")
    assert read_mask_key(path) == keys_of()["east"].public


def test_a_study_with_other_keys_than_are_enrolled_does_not_begin(
    coordinator: Coordinator, tmp_path: Path
) -> None:
    registry = enrolled(coordinator, tmp_path)
    known, path = Enrolment.read(coordinator.enrolled), tmp_path / "study.yaml"

    def study_with(roster: Roster) -> None:
        secure = {"colluding": 1, "patients": 400, "roster": roster.model_dump()}
        check_roster(secure_study({"secure": secure}), known, path)

    roster, _ = roster_of(coordinator)
    study_with(roster)
    swapped = roster.members[1].model_copy(update={"mask_key": "ab" * 32})
    with pytest.raises(ConfigError, match="has another mask key for north than is enrolled here"):
        study_with(Roster(members=(roster.members[0], swapped, *roster.members[2:])))
    with pytest.raises(ConfigError, match="has another node key for east"):
        check_roster(secure_study(), known, path)  # made-up node keys
    none = secure_study({"secure": {"colluding": 1, "patients": 400}})
    with pytest.raises(ConfigError, match=r"federation\.secure\.roster: name the file"):
        check_roster(none, known, path)
    expel(coordinator, registry, "west")
    with pytest.raises(ConfigError, match="names the site west, which is not enrolled here"):
        check_roster(
            secure_study({"secure": {"colluding": 1, "patients": 9, "roster": roster.model_dump()},
                          "minimum_sites": 3}, training={"expected_batch": 4, "optimizer": "sgd"}),
            Enrolment.read(coordinator.enrolled), path,
        )  # fmt: skip

"""Secure sums as a hospital types them: its mask key, and the roster that it approves."""

import json
from pathlib import Path

import pytest
import yaml

from client.consent.consent import Consent, journal_of
from client.secure.roster_view import read_out
from irene_model.errors import ConfigError
from irene_model.secure.masks import MaskKey
from irene_model.study.study import Study
from tests.helpers.hospital_folder import HospitalFolder
from tests.helpers.sites.secure_sites import NAMES, secure_document
from tests.helpers.sites.typed_commands import typed


@pytest.fixture
def keyed(hospital: HospitalFolder) -> HospitalFolder:
    """A hospital with its keys, whose study's roster is a file beside study.yaml."""
    hospital.configure("declared_patients", 10)
    hospital.configure("budget", {"epsilon": 8, "delta": 1e-3, "alone": 60})
    typed("keygen", hospital.folder / "keys", "--site", hospital.site_file)
    public = (hospital.folder / "keys" / "mask.pub").read_text(encoding="utf-8").strip()
    write_study(hospital, public)
    return hospital


def write_study(hospital: HospitalFolder, own: str) -> None:
    keys = {name: own if name == "north" else MaskKey.new().public for name in NAMES}
    document = secure_document(keys)
    roster = document["federation"]["secure"]["roster"]
    document["federation"]["secure"]["roster"] = "roster.yaml"
    for name, content in (("roster.yaml", roster), ("study.yaml", document)):
        (hospital.folder / name).write_text(yaml.safe_dump(content), encoding="utf-8")


def test_keygen_makes_a_mask_key_where_site_yaml_wants_it(hospital: HospitalFolder) -> None:
    keys, site = hospital.folder / "keys", hospital.site_file
    said = typed("keygen", keys, "--site", site)
    assert f"For secure sums, send: {keys}/mask.pub" in said
    private = hospital.site.resolve(hospital.site.mask_key)
    assert f"Never send, never copy: {private}" in said
    assert sorted(path.name for path in keys.iterdir()) == [
        "hospital.key", "hospital.pub", "mask.pub",
    ]  # fmt: skip
    (entry,) = journal_of(hospital.site).entries()
    public = (keys / "mask.pub").read_text(encoding="utf-8").strip()
    assert json.loads(entry.content)["mask_key"] == public


def test_one_key_is_made_where_the_other_is_there_and_none_is_overwritten(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    typed("keygen", keys, "--only", "node")
    assert sorted(path.name for path in keys.iterdir()) == ["hospital.key", "hospital.pub"]
    with pytest.raises(ConfigError, match=r"hospital.key: is there already"):
        typed("keygen", keys)
    assert not (keys / "mask.key").exists()
    said = typed("keygen", keys, "--only", "mask")
    assert "mask.pub" in said and "hospital" not in said
    with pytest.raises(ConfigError, match=r"mask.key: is there already"):
        typed("keygen", keys, "--only", "mask")


def test_approval_shows_the_roster_and_its_fingerprint(keyed: HospitalFolder) -> None:
    shown = typed("approve", keyed.study_file, keyed.site_file, "--yes")
    secure = keyed.study.federation.secure
    assert secure is not None and secure.roster is not None
    assert f"Roster fingerprint {read_out(secure.roster.fingerprint)}" in shown
    assert "north (you)" in shown and "by telephone say" in shown
    for member in secure.roster.members:
        assert member.name in shown and member.mask_key[:16] in shown
    assert Consent.of(keyed.site).approved(keyed.study.fingerprint)


def test_a_changed_roster_is_another_study_and_asks_again(keyed: HospitalFolder) -> None:
    typed("approve", keyed.study_file, keyed.site_file, "--yes")
    before: Study = keyed.study
    public = (keyed.folder / "keys" / "mask.pub").read_text(encoding="utf-8").strip()
    write_study(keyed, public)  # the others' keys are new ones
    assert keyed.study.fingerprint != before.fingerprint
    assert not Consent.of(keyed.site).approved(keyed.study.fingerprint)


def test_a_roster_with_another_key_for_this_site_can_not_be_approved(keyed: HospitalFolder) -> None:
    write_study(keyed, MaskKey.new().public)
    with pytest.raises(ConfigError, match=r"site.yaml: the study's roster has another mask key"):
        typed("approve", keyed.study_file, keyed.site_file, "--yes")
    assert Consent.of(keyed.site).fingerprints == ()


def test_who_leaves_is_told_of_the_mask_key(keyed: HospitalFolder) -> None:
    said = typed("leave", keyed.site_file, "--yes")
    assert f"{keyed.site.resolve(keyed.site.mask_key)}: delete it" in said

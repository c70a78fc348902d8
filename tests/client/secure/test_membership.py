"""The roster against the site's own keys, and a coordinator in the middle."""

import json
from pathlib import Path
from typing import Any

import pytest

from client.consent.consent import Consent
from client.consent.keys import make_key
from client.gateway.connection import Connection, remember
from client.participant import Participant
from client.secure.membership import Membership
from irene_model.errors import ConfigError, RosterMismatch
from irene_model.exchange.requests import EvaluateRequest, HelloRequest, TrainRequest
from irene_model.secure.masks import MaskKey
from irene_model.study.study import Study
from tests.helpers.sites.secure_sites import SecureSites, weights_of


def with_member(study: Study, who: str, /, **changes: Any) -> Study:
    """The study as a coordinator sends it who changed one member of its roster."""
    document = json.loads(study.canonical)
    members = document["federation"]["secure"]["roster"]["members"]
    for member in members:
        if member["name"] == who:
            member.update(changes)
    return Study.model_validate(document)


def test_a_site_is_a_member_by_its_own_keys(sites: SecureSites) -> None:
    member = Membership.of(sites.hospital("north").site, sites.study)
    assert member is not None and member.name == "north"
    assert sites.hello("north").outcome == "ready"
    plain = sites.study.model_copy(
        update={"federation": sites.study.federation.model_copy(update={"secure": None})}
    )
    assert Membership.of(sites.hospital("north").site, plain) is None


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("north", {"mask_key": MaskKey.new().public}, "another mask key for north than this site"),
        ("north", {"name": "northern"}, "has no site north"),
    ],
)
def test_a_roster_that_is_not_of_this_site_is_declined_with_the_remedy(
    sites: SecureSites, name: str, changes: dict[str, str], said: str
) -> None:
    swapped = with_member(sites.study, name, **changes)
    with pytest.raises(RosterMismatch, match=rf"{said}.*compare its fingerprint among hospitals"):
        Membership.of(sites.hospital("north").site, swapped)
    replies = (sites.hello("north", swapped), sites.train("north", study=swapped))
    assert [reply.outcome for reply in replies] == ["declined", "declined"]
    assert {reply.code for reply in replies} == {"study"}
    assert sites.charges("north") == ()


def test_the_nodes_key_is_judged_once_it_is_known(sites: SecureSites, tmp_path: Path) -> None:
    pair = make_key(tmp_path / "keys")
    site = sites.hospital("north").site
    remember(site, Connection(server="host:1", ca=Path("/ca"), key=pair.private))
    with pytest.raises(RosterMismatch, match="another node key for north"):
        Membership.of(site, sites.study)
    assert Membership.of(site, with_member(sites.study, "north", node_key=pair.sha256))


def test_a_study_without_a_roster_or_a_site_without_a_key_takes_part_in_no_sum(
    sites: SecureSites,
) -> None:
    secure = sites.study.federation.secure
    assert secure is not None
    federation = sites.study.federation.model_copy(
        update={"secure": secure.model_copy(update={"roster": None})}
    )
    site = sites.hospital("north").site
    with pytest.raises(RosterMismatch, match="names no roster"):
        Membership.of(site, sites.study.model_copy(update={"federation": federation}))
    key = sites.folder / "north" / ".irene" / "mask.key"
    kept = key.read_bytes()
    key.chmod(0o644)
    with pytest.raises(ConfigError, match=r"mask.key: others can read the key"):
        Membership.of(site, sites.study)
    key.chmod(0o600)
    key.write_bytes(b"short")
    with pytest.raises(ConfigError, match=r"mask.key: a mask key has 32 bytes, not 5"):
        Membership.of(site, sites.study)
    key.unlink()
    with pytest.raises(ConfigError, match=r"the mask key is missing.*keygen"):
        Membership.of(site, sites.study)
    key.write_bytes(kept)
    key.chmod(0o600)


def test_a_coordinator_in_the_middle_that_swaps_a_key_gets_nothing(sites: SecureSites) -> None:
    """It gives north a key of its own as south's: to north that is a study nobody approved."""
    site = sites.hospital("north").site
    consent = Consent.of(site)
    consent.approve(sites.study)
    node = Participant(site=site, consent=consent)
    partners = {"attempt": 1, "partners": "east,north,south"}
    its_own = MaskKey.new()
    swapped = with_member(sites.study, "south", mask_key=its_own.public)
    assert swapped.fingerprint != sites.study.fingerprint
    arrays = weights_of(swapped)
    for fingerprint in (swapped.fingerprint, sites.study.fingerprint):
        about: dict[str, Any] = {
            "study": swapped.canonical, "fingerprint": fingerprint, "run": "r", "deadline": 60.0,
        }  # fmt: skip
        replies = (
            node.hello(HelloRequest(**about)),
            node.train(TrainRequest(**about, **partners, round=1, arrays=arrays)),
            node.evaluate(
                EvaluateRequest(**about, **partners, round=1, split="test", arrays=arrays)
            ),
        )
        for reply in replies:
            assert reply.outcome in ("waiting", "declined", "failed") and not reply.arrays
            assert reply.code == ("people" if fingerprint == swapped.fingerprint else "study")
    assert sites.charges("north") == ()
    # And it waits as a request of its own, beside the approved one, with its other fingerprint.
    assert [asked.fingerprint for asked in consent.requests()] == [swapped.fingerprint]
    honest = TrainRequest.about(sites.study, run="r", round=1, arrays=arrays, **partners)
    assert node.train(honest).outcome == "updated"

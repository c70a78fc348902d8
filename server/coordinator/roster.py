"""The roster of secure sums, from the keys that were enrolled: who takes part, under which keys.

The coordinator writes it down and is not believed: hospitals compare its fingerprint among
themselves, and each checks its own keys in it.
"""

import hashlib
import re
from pathlib import Path

from irene_model.errors import ConfigError
from irene_model.study import MOST_SECURE_SITES, Member, Roster, Study, dump
from server.coordinator.coordinator import Coordinator
from server.coordinator.enrolment import EnrolledSite, Enrolment

_LEAST = 3
_LARGEST_FILE = 4096  # bytes; a mask key has 64 digits
_REMEDY = "ask the hospital for the mask.pub that irene-client keygen wrote"


def read_mask_key(path: Path) -> str:
    """The 64 hexadecimal digits in mask.pub; a ConfigError says what the file is instead."""
    try:
        content = path.read_bytes()
    except OSError:
        raise ConfigError(f"{path}: can't be read; {_REMEDY}") from None
    if len(content) == 32:
        raise ConfigError(
            f"{path}: may be a private mask key, which must never leave the hospital: delete it "
            f"here, let it make a new one, and {_REMEDY}"
        )
    text = content[:_LARGEST_FILE].decode("ascii", errors="replace").strip()
    if len(content) > _LARGEST_FILE or not re.fullmatch(r"[0-9a-f]{64}", text):
        raise ConfigError(f"{path}: is no public mask key; {_REMEDY}")
    return text


def roster_of(coordinator: Coordinator) -> tuple[Roster, list[str]]:
    """The enrolled sites with a mask key, and the names of those that have none.

    ConfigError where fewer than three have one, or more than a roster holds.
    """
    sites = Enrolment.read(coordinator.enrolled).sites
    members = [
        Member(name=name, node_key=_node_key(site), mask_key=site.mask_key)
        for name, site in sites.items()
        if site.mask_key is not None
    ]
    if len(members) < _LEAST:
        raise ConfigError(
            f"{coordinator.enrolled}: {len(members)} sites are enrolled with a mask key, and "
            f"secure sums need {_LEAST}; irene-server enroll takes --mask-key, also of a site that "
            "is enrolled already"
        )
    if len(members) > MOST_SECURE_SITES:
        raise ConfigError(
            f"{coordinator.enrolled}: a secure sum has at most {MOST_SECURE_SITES} sites, and "
            f"{len(members)} are enrolled with a mask key"
        )
    lacking = [name for name, site in sites.items() if site.mask_key is None]
    return Roster(members=tuple(members)), sorted(lacking)


def _node_key(site: EnrolledSite) -> str:
    """sha256 of the public file that the hospital's keygen wrote, without anybody's comment."""
    if site.key is None:
        return site.key_sha256
    return hashlib.sha256(f"{site.key}\n".encode("ascii")).hexdigest()


def write_roster(roster: Roster, out: Path) -> None:
    """Write the file that `federation.secure.roster` of a study names; never over another."""
    try:
        with out.open("x", encoding="utf-8") as file:
            file.write(dump(roster))
    except FileExistsError:
        raise ConfigError(
            f"{out}: is there already; a changed roster is a changed study, so name a new file"
        ) from None
    except OSError as error:
        raise ConfigError(f"{out}: can't be written ({error.strerror})") from None


def check_roster(study: Study, enrolled: Enrolment, source: Path) -> None:
    """Refuse a study of secure sums whose roster is missing or has other keys than are enrolled.

    The ConfigError names `source`, the study's file, and the site.
    """
    secure = study.federation.secure
    if secure is None:
        return
    if secure.roster is None:
        raise ConfigError(
            f"{source}: federation.secure.roster: name the file of who takes part, which "
            "irene-server roster writes"
        )
    for member in secure.roster.members:
        site = enrolled.sites.get(member.name)
        if site is None:
            raise ConfigError(
                f"{source}: federation.secure.roster: names the site {member.name}, which is not "
                "enrolled here"
            )
        for what, own, told in (
            ("node", _node_key(site), member.node_key),
            ("mask", site.mask_key, member.mask_key),
        ):
            if own is not None and own != told:
                raise ConfigError(
                    f"{source}: federation.secure.roster: has another {what} key for "
                    f"{member.name} than is enrolled here; write it anew with irene-server roster, "
                    "and let hospitals compare it again"
                )

"""enrolled.json: which site has which key. The ServerApp believes no other name of a node."""

import contextlib
import hashlib
import json
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_ssh_public_key,
)
from pydantic import Field, TypeAdapter, ValidationError

from irene_model.errors import ConfigError
from irene_model.study import Name, Settings, SiteName, parse
from server.coordinator.certificates import write_private
from server.coordinator.control import Control, ControlError
from server.coordinator.coordinator import Coordinator, account
from server.coordinator.locks import alone

_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
_LARGEST_KEY = 4096  # bytes; a public key has a few hundred
_REMEDY = "ask the hospital for the .pub file that irene-client keygen wrote"


class EnrolledSite(Settings):
    """A site: Flower's id of its node in decimal digits, sha256 of its .pub file, ISO time.

    key: the public key in OpenSSH's form, by which a SuperLink that has lost its database learns it
    anew; None in the entries of older versions. mask_key: the public key of its secure sums, 64
    hexadecimal digits; None of a site that takes part in none.
    """

    node_id: str | None = Field(default=None, pattern=r"^\d+$")
    key_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    enrolled: str
    key: str | None = Field(default=None, pattern=r"^[A-Za-z0-9+/=@. -]+$", max_length=_LARGEST_KEY)
    mask_key: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")


@dataclass(frozen=True, kw_only=True)
class PublicKey:
    """A hospital's: `line` in OpenSSH's form without its comment, `sha256` of the whole file."""

    line: str
    sha256: str


class Enrolment(Settings):
    """The whole file."""

    schema_: Literal[1] = Field(default=1, alias="schema")
    # Names of older files are wider: such a site can still be expelled.
    sites: dict[Name, EnrolledSite] = Field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> "Enrolment":
        """Read the file; one that is not there yet means that nobody is enrolled."""
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return cls()
        except (OSError, ValueError):
            raise ConfigError(f"{path}: can't be read as JSON") from None
        return parse(cls, document, path)

    def write(self, path: Path) -> None:
        """Write it, whole or not at all."""
        document = self.model_dump(mode="json", by_alias=True)
        for site in document["sites"].values():
            if site["mask_key"] is None:  # the file of a federation without secure sums stays so
                del site["mask_key"]
        write_private(path, (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode())


def enroll(
    coordinator: Coordinator, control: Control, key: Path, name: str, *, mask_key: str | None = None
) -> EnrolledSite:
    """Register the public key in the file `key` with Flower, as that of the site `name`.

    mask_key: of its secure sums; a site that is enrolled under the same `key` and has none gets it.
    Raises ConfigError for a name or a key that is enrolled already and for a file that is no
    public key as Flower takes them, before anything is changed.
    """
    check_name(name)
    public = read_public_key(key)
    with alone(coordinator.enrolled.with_suffix(".lock")):
        known, lacking = _restored(coordinator, control)
        same = name in lacking and known.sites[name].key_sha256 == public.sha256
        _refuse_shared_mask(known, name, mask_key)
        before = known.sites.get(name)
        if before is not None and mask_key is not None and public.sha256 == before.key_sha256:
            if before.mask_key not in (None, mask_key):
                raise ConfigError(
                    f"--mask-key: {name} is enrolled with another mask key; irene-server expel "
                    f"{coordinator.path} {name} first, if its keys are to be replaced"
                )
            if not same:
                return _with_mask_key(coordinator, known, name, mask_key)
        if name in known.sites and not same:
            raise ConfigError(
                f"--name {name}: is enrolled already; irene-server expel {coordinator.path} "
                f"{name} first, if its key is to be replaced"
            )
        for other, site in known.sites.items():
            if (other != name and public.sha256 == site.key_sha256) or public.line == site.key:
                raise ConfigError(f"{key}: is enrolled already, as {other}; every site has its own")
        _refuse_expelled(coordinator, key, public)
        site = _registered(control, name, public, key)
        site = site.model_copy(update={"mask_key": mask_key or (before and before.mask_key)})
        Enrolment(sites={**known.sites, name: site}).write(coordinator.enrolled)
    _note(coordinator, "enrolled", name, site)
    return site


def _with_mask_key(
    coordinator: Coordinator, known: Enrolment, name: str, mask_key: str
) -> EnrolledSite:
    """The site that is enrolled already, now with a mask key."""
    site = known.sites[name].model_copy(update={"mask_key": mask_key})
    Enrolment(sites={**known.sites, name: site}).write(coordinator.enrolled)
    _note(coordinator, "mask key enrolled", name, site)
    return site


def _refuse_shared_mask(known: Enrolment, name: str, mask_key: str | None) -> None:
    for other, site in known.sites.items():
        if mask_key is not None and other != name and site.mask_key == mask_key:
            raise ConfigError(
                f"--mask-key: is enrolled already, as that of {other}; every site has its own"
            )


def expel(coordinator: Coordinator, control: Control, name: str) -> None:
    """Refuse a site's key from now on; a ConfigError where it is not enrolled."""
    with alone(coordinator.enrolled.with_suffix(".lock")):
        known = Enrolment.read(coordinator.enrolled)
        if name not in known.sites:
            names = ", ".join(sorted(known.sites)) or "nobody"
            raise ConfigError(f"{name}: is not enrolled; {names} is")
        site = known.sites[name]
        if site.node_id is not None and site.node_id in control.nodes():
            control.unregister(site.node_id)
        left = {other: each for other, each in known.sites.items() if other != name}
        Enrolment(sites=left).write(coordinator.enrolled)
        _note(coordinator, "expelled", name, site)  # what Flower forgets, the journal does not
        _restored(coordinator, control)


def restore(coordinator: Coordinator, control: Control) -> list[str]:
    """Register all sites with Flower that it does not know, as after the loss of its database.

    Gives their names. Raises ConfigError, once all that can be are, for those that can't.
    """
    with alone(coordinator.enrolled.with_suffix(".lock")):
        before = Enrolment.read(coordinator.enrolled).sites
        after, lacking = _restored(coordinator, control)
    if lacking:
        raise ConfigError(
            f"{coordinator.enrolled}: Flower has forgotten {', '.join(lacking)}, and the key that "
            "it needs is not kept here: irene-server enroll with the same .pub file again, or "
            "expel the site and ask for a new key"
        )
    return [name for name, site in after.sites.items() if site != before[name]]


def _restored(coordinator: Coordinator, control: Control) -> tuple[Enrolment, list[str]]:
    """enrolled.json after all that Flower has forgotten were registered; and who could not be.

    Who was expelled is shut out again, where Flower has forgotten that.
    """
    known, lacking = Enrolment.read(coordinator.enrolled), []
    nodes = control.nodes()
    for name, site in known.sites.items():
        if site.node_id in nodes:
            continue
        again = site.model_copy(update={"node_id": None})
        if site.key is not None:
            public = PublicKey(line=site.key, sha256=site.key_sha256)
            with contextlib.suppress(ConfigError):  # another crash: by an id that nobody wrote down
                again = _registered(control, name, public, coordinator.enrolled)
                kept = {"enrolled": site.enrolled, "mask_key": site.mask_key}
                again = again.model_copy(update=kept)
        if again.node_id is None:
            lacking.append(name)
            continue
        known = Enrolment(sites={**known.sites, name: again})
        known.write(coordinator.enrolled)
        _note(coordinator, "registered again", name, again)
    for node_id in sorted(nodes.keys() & {facts["node_id"] for facts in _expelled(coordinator)}):
        control.unregister(node_id)  # an older copy of the database knew it still
        coordinator.journal.append("shut out again", who=account(), node_id=node_id)
    return known, lacking


def _registered(control: Control, name: str, public: PublicKey, source: Path) -> EnrolledSite:
    """Register the key with Flower; `source` is named where Flower knows it already."""
    with tempfile.NamedTemporaryFile("w", suffix=".pub", encoding="ascii") as file:
        file.write(f"{public.line}\n")
        file.flush()
        try:
            node_id = control.register(Path(file.name), name)
        except ControlError as error:
            if error.key_in_use:
                raise ConfigError(_used(source)) from None
            raise
    return EnrolledSite(
        node_id=node_id,
        key_sha256=public.sha256,
        enrolled=datetime.now(UTC).isoformat(timespec="seconds"),
        key=public.line,
    )


def _refuse_expelled(coordinator: Coordinator, key: Path, public: PublicKey) -> None:
    """A key that was expelled stays so, also when Flower has lost its memory of it."""
    for facts in _expelled(coordinator):
        if public.sha256 == facts["key_sha256"] or public.line == facts.get("key"):
            raise ConfigError(_used(key))


def _expelled(coordinator: Coordinator) -> list[dict[str, Any]]:
    """What the journal says of all that were ever expelled."""
    entries = coordinator.journal.entries()
    return [json.loads(entry.content) for entry in entries if entry.kind == "expelled"]


def _used(key: Path) -> str:
    return (
        f"{key}: Flower knows this key already; a key that was once enrolled is not taken again, "
        "so ask the hospital for a new one"
    )


def _note(coordinator: Coordinator, what: str, name: str, site: EnrolledSite) -> None:
    coordinator.journal.append(
        what,
        who=account(),
        site=name,
        node_id=site.node_id,
        key_sha256=site.key_sha256,
        key=site.key,
        **({} if site.mask_key is None else {"mask_key": site.mask_key}),
    )


def check_name(name: str) -> None:
    """Raise ConfigError for what can't be a site's name in site.yaml."""
    try:
        TypeAdapter(SiteName).validate_python(name)
    except ValidationError:
        raise ConfigError(
            "--name: expected the site's name as in its site.yaml: at most 40 letters, digits and "
            "hyphens of ASCII, the first one no hyphen"
        ) from None


def read_public_key(path: Path) -> PublicKey:
    """The key in the file, after a look at whether it is a public one as Flower takes them.

    A ConfigError names what it is instead; nothing of the file is quoted.
    """
    try:
        content = path.read_bytes()
    except OSError:
        raise ConfigError(f"{path}: can't be read; {_REMEDY}") from None
    if b"PRIVATE KEY" in content:
        raise ConfigError(
            f"{path}: is a private key, which must never leave the hospital: delete it here, and "
            "ask for the .pub file of a new key"
        )
    if len(content) > _LARGEST_KEY:
        raise ConfigError(f"{path}: is no public key; {_REMEDY}")
    try:
        key = load_ssh_public_key(content)
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigError(f"{path}: is no public key in OpenSSH's format; {_REMEDY}") from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, _CURVES):
        raise ConfigError(f"{path}: is a public key of another kind than ECDSA; {_REMEDY}")
    line = key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode("ascii")
    return PublicKey(line=line, sha256=hashlib.sha256(content).hexdigest())

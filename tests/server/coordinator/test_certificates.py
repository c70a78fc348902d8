"""The coordinator's certificates, judged by OpenSSL in its strict mode: a real handshake."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from irene_model.errors import ConfigError
from server.coordinator.certificates import (
    Signed,
    days_left,
    issue,
    new_authority,
    read_certificate,
)

NOW = datetime.now(UTC).replace(microsecond=0)
HOSTS = ("gateway.hospital.org", "192.0.2.7", "2001:db8::7")


def shake_hands(folder: Path, authority: Path, server: str, host: str) -> None:
    """One TLS 1.3 handshake in memory, between a server's certificate and who expects `host`."""
    there = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    there.load_cert_chain(folder / f"{server}.crt", folder / f"{server}.key")
    here = ssl.create_default_context(cafile=str(authority))
    here.verify_flags |= ssl.VERIFY_X509_STRICT
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = here.wrap_bio(down, up, server_hostname=host)
    peer = there.wrap_bio(up, down, server_side=True)
    waiting = [client, peer]
    for _ in range(10):
        for side in list(waiting):
            try:
                side.do_handshake()
                waiting.remove(side)
            except ssl.SSLWantReadError:
                pass
    assert not waiting


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    authority = new_authority("A federation", NOW)
    authority.save(tmp_path, "ca")
    issue(authority, HOSTS, NOW).save(tmp_path, "server")
    return tmp_path


@pytest.mark.parametrize("host", HOSTS)
def test_the_gateway_is_believed_by_each_of_its_names(folder: Path, host: str) -> None:
    shake_hands(folder, folder / "ca.crt", "server", host)


@pytest.mark.parametrize("host", ["hospital.org", "evil.gateway.hospital.org", "192.0.2.8"])
def test_another_name_is_refused(folder: Path, host: str) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="match"):
        shake_hands(folder, folder / "ca.crt", "server", host)


def test_another_authority_of_the_same_name_is_refused(folder: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    new_authority("A federation", NOW).save(elsewhere, "ca")
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(folder, elsewhere / "ca.crt", "server", HOSTS[0])


def test_a_servers_certificate_signs_no_others(folder: Path) -> None:
    server = Signed.load(folder, "server")
    issue(server, HOSTS, NOW).save(folder, "forged")
    (folder / "chain.crt").write_bytes(
        (folder / "forged.crt").read_bytes() + (folder / "server.crt").read_bytes()
    )
    (folder / "chain.key").write_bytes((folder / "forged.key").read_bytes())
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(folder, folder / "ca.crt", "chain", HOSTS[0])


def test_an_ended_certificate_is_refused(folder: Path) -> None:
    long_ago = NOW - timedelta(days=800)
    issue(Signed.load(folder, "ca"), HOSTS, long_ago).save(folder, "old")
    assert days_left(read_certificate(folder / "old.crt"), NOW) == pytest.approx(-70)
    with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
        shake_hands(folder, folder / "ca.crt", "old", HOSTS[0])


def test_a_certificate_never_outlives_its_authority() -> None:
    authority = new_authority("A federation", NOW - timedelta(days=3600))
    assert days_left(issue(authority, HOSTS, NOW).certificate, NOW) == pytest.approx(50)


def test_keys_are_for_their_owner_and_damaged_files_are_named(folder: Path) -> None:
    modes = {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}
    assert modes == {"ca.crt": 0o644, "ca.key": 0o600, "server.crt": 0o644, "server.key": 0o600}
    (folder / "ca.key").write_text("no key\n")
    with pytest.raises(ConfigError, match=r"ca\.key: is missing or no private key"):
        Signed.load(folder, "ca")
    (folder / "ca.crt").write_text("no certificate\n")
    with pytest.raises(ConfigError, match=r"ca\.crt: is missing or no certificate"):
        Signed.load(folder, "ca")

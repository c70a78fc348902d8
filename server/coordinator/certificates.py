"""The coordinator's private certificate authority, and the certificates that it signs.

Hospitals trust `ca.crt` and nothing else, so a certificate of a public authority for the same name
is worth nothing to them. All keys are on the curve P-256, and files that hold one are for their
owner alone.
"""

import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from irene_model.errors import ConfigError

_AUTHORITY_LASTS = timedelta(days=3650)
_CERTIFICATE_LASTS = timedelta(days=730)
_CLOCKS_DIFFER = timedelta(hours=1)  # a hospital's clock may be behind


@dataclass(frozen=True, kw_only=True)
class Signed:
    """A certificate and its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def save(self, folder: Path, name: str) -> None:
        """Write `name`.crt and `name`.key into `folder`; each appears whole, in place of an older.

        The key goes first: what reads a new certificate finds its key.
        """
        key = self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        write_private(folder / f"{name}.key", key)
        certificate = self.certificate.public_bytes(serialization.Encoding.PEM)
        write_private(folder / f"{name}.crt", certificate, mode=0o644)

    @classmethod
    def load(cls, folder: Path, name: str) -> "Signed":
        """Read what `save` wrote; a missing or damaged file is a ConfigError."""
        certificate = read_certificate(folder / f"{name}.crt")
        path = folder / f"{name}.key"
        try:
            key = serialization.load_pem_private_key(path.read_bytes(), password=None)
        except (OSError, ValueError, TypeError):
            raise ConfigError(f"{path}: is missing or no private key in PEM") from None
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ConfigError(f"{path}: is no key on an elliptic curve")
        if key.public_key() != certificate.public_key():
            raise ConfigError(f"{path}: is not the key of {name}.crt; restore the two together")
        return cls(certificate=certificate, key=key)


def new_authority(name: str, now: datetime) -> Signed:
    """A certificate that signs others, itself signed by its own key, for ten years from `now`."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _name(name)
    builder = (
        _builder(subject, subject, key.public_key(), now, _AUTHORITY_LASTS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
    )
    return Signed(certificate=builder.sign(key, hashes.SHA256()), key=key)


def issue(authority: Signed, hosts: Sequence[str], now: datetime) -> Signed:
    """A server's certificate for `hosts`, names or addresses, for two years from `now`."""
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = authority.certificate
    lasts = min(_CERTIFICATE_LASTS, issuer.not_valid_after_utc - now)
    signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())
    builder = (
        _builder(_name(hosts[0]), issuer.subject, key.public_key(), now, lasts)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([*map(_general, hosts)]), critical=False)
        .add_extension(signer, critical=False)
    )
    return Signed(certificate=builder.sign(authority.key, hashes.SHA256()), key=key)


def read_certificate(path: Path) -> x509.Certificate:
    """The certificate in PEM at `path`; a ConfigError where there is none."""
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError):
        raise ConfigError(f"{path}: is missing or no certificate in PEM") from None


def days_left(certificate: x509.Certificate, now: datetime) -> float:
    """Days until `certificate` ends; negative when it has."""
    return (certificate.not_valid_after_utc - now) / timedelta(days=1)


def write_private(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Write a file that was never readable by others, and appears whole or not at all."""
    unfinished = path.with_name(path.name + ".part")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
        os.fchmod(file.fileno(), mode)
    unfinished.replace(path)


def now() -> datetime:
    """The present moment, UTC, in whole seconds as certificates count them."""
    return datetime.now(UTC).replace(microsecond=0)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    now: datetime,
    lasts: timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCKS_DIFFER)
        .not_valid_after(now + lasts)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common: str) -> x509.Name:
    # The field holds 64 characters; clients read the alternative names only.
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common[:64])])


def _general(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)

"""A SuperLink for tests: TLS and node authentication, on loopback, without a gateway."""

import ipaddress
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.helpers.ports import free_port

BIN = Path(sys.executable).parent  # not resolved: a virtual environment's python is a link
PATIENCE_S = 180
NAME = "irene.test"
"""A name of the server that no resolver knows."""
QUIET = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
    "OMP_NUM_THREADS": "1",
}


def certificates(folder: Path, *, until: datetime | None = None) -> None:
    """`ca.crt`, and `server.crt` with `server.key` for 127.0.0.1 and NAME, in `folder`."""
    until = until or datetime.now(UTC) + timedelta(days=1)
    folder.mkdir(parents=True, exist_ok=True)
    ca_key, key = (ec.generate_private_key(ec.SECP384R1()) for _ in range(2))
    issuer = _name("test CA")
    ca = _certificate(issuer, issuer, ca_key, ca_key, x509.BasicConstraints(True, 0), until=until)
    address = x509.SubjectAlternativeName(
        [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName(NAME)]
    )
    server = _certificate(_name("127.0.0.1"), issuer, key, ca_key, address, until=until)
    for name, certificate in (("ca", ca), ("server", server)):
        (folder / f"{name}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "server.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    (folder / "server.key").chmod(0o600)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _certificate(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    signer: ec.EllipticCurvePrivateKey,
    extension: x509.ExtensionType,
    *,
    until: datetime,
) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(until - timedelta(days=2))
        .not_valid_after(until)
        .add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
    )
    return builder.sign(signer, hashes.SHA384())


@dataclass(kw_only=True)
class TlsSuperLink:
    """The coordinator's end: certificates, SuperLink, `flwr` as its user."""

    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def ca(self) -> Path:
        return self.folder / "ca.crt"

    @property
    def environment(self) -> dict[str, str]:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("FLWR")}
        path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
        return {**inherited, **QUIET, "PATH": path, "FLWR_HOME": str(self.folder / "home")}

    def __post_init__(self) -> None:
        certificates(self.folder)
        (self.folder / "home").mkdir()
        (self.folder / "home" / "config.toml").write_text(
            f'[superlink]\ndefault = "here"\n\n[superlink.here]\naddress = "{self.address}"\n'
            f'root-certificates = "{self.ca}"\n',
            encoding="utf-8",
        )

    def start(self) -> None:
        command = [
            str(BIN / "flower-superlink"),
            *("--host", "127.0.0.1", "--port", str(self.port)),
            *("--ssl-ca-certfile", str(self.ca)),
            *("--ssl-certfile", str(self.folder / "server.crt")),
            *("--ssl-keyfile", str(self.folder / "server.key")),
            "--enable-supernode-auth",
            *("--database", str(self.folder / "superlink.db")),
        ]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        wait_for(self._serves, lambda: self.log.read_text(errors="replace")[-3000:])

    @property
    def log(self) -> Path:
        return self.folder / "superlink.log"

    def _serves(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def flwr(self, *arguments: str) -> Any:
        """A `flwr` command's JSON answer."""
        done = subprocess.run(
            [str(BIN / "flwr"), *arguments, "--format", "json"],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return json.loads(done.stdout)

    def register(self, public_key: Path, name: str) -> None:
        self.flwr("supernode", "register", str(public_key), "here", "--name", name)

    def stop(self) -> None:
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def wait_for(
    true: Callable[[], object], told: Callable[[], str], patience_s: float = PATIENCE_S
) -> None:
    """Wait until `true` holds; what `told` says is the failure's message."""
    deadline = time.monotonic() + patience_s
    while not true():
        assert time.monotonic() < deadline, told()
        time.sleep(0.1)

"""What time is it at the coordinator? One request to its gateway, by TLS and the study's CA."""

import base64
import http.client
import ssl
import time
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit

from client.gateway.clock import Reading

_TIMEOUT_S = 5.0
_NOT_YET, _ENDED = 9, 10  # OpenSSL's X509_V_ERR_CERT_NOT_YET_VALID and _HAS_EXPIRED


def read_clock(server: str, ca: Path, proxy: str | None) -> Reading | None:
    """The clock of the gateway at `server` (HOST:PORT), which must be of `ca`.

    None where it can't be reached, is not trusted, or does not say. `proxy`: as
    http://HOST:PORT, or None for the direct way.
    """
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # as Flower's own, so neither is stricter
        context.load_verify_locations(cafile=str(ca))
        connection = _connection(server, context, proxy)
        try:
            connection.connect()
            asked = time.monotonic()
            connection.request("GET", "/health")
            said = connection.getresponse().getheader("Date", "")
            wall, steady = time.time(), time.monotonic()
        finally:
            connection.close()
        # Their whole second began before the answer came: what follows is never ahead of them.
        offset = parsedate_to_datetime(said).timestamp() - wall
    except ssl.SSLCertVerificationError as error:
        wall, steady = time.time(), time.monotonic()
        if error.verify_code == _NOT_YET:
            return Reading(wall=wall, steady=steady, trouble="early")
        if error.verify_code == _ENDED:
            return Reading(wall=wall, steady=steady, trouble="late")
        return None
    except (OSError, ValueError, http.client.HTTPException):
        return None
    return Reading(offset=offset, slack=1.0 + steady - asked, wall=wall, steady=steady)


def _connection(
    server: str, context: ssl.SSLContext, proxy: str | None
) -> http.client.HTTPSConnection:
    host, _, port = server.rpartition(":")
    host = host.strip("[]")
    if proxy is None:
        return http.client.HTTPSConnection(host, int(port), timeout=_TIMEOUT_S, context=context)
    way = urlsplit(proxy)
    if way.hostname is None:
        raise ValueError("the proxy has no host")
    connection = http.client.HTTPSConnection(
        way.hostname, way.port or 80, timeout=_TIMEOUT_S, context=context
    )
    headers = {}
    if way.username is not None:
        secret = f"{unquote(way.username)}:{unquote(way.password or '')}"
        headers["Proxy-Authorization"] = f"Basic {base64.b64encode(secret.encode()).decode()}"
    connection.set_tunnel(host, int(port), headers)
    return connection

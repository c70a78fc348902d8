"""Why a node does not get through to its coordinator: one sentence with what to do about it."""

from dataclasses import replace

from client.gateway.connection import Connection, Progress, host_and_port, remembered
from client.site import Site
from irene_model.errors import ConfigError
from irene_model.operations import Reach, Reached, reach

_UNEXPLAINED = ("untrusted", "unreachable")


def explained(site: Site, progress: Progress) -> Progress:
    """`progress`; where the node's log says only that it fails, with what is found to be wrong.

    Takes a few seconds then: the gateway is asked once, as the node asks it.
    """
    if progress.state not in _UNEXPLAINED:
        return progress
    try:
        connection = remembered(site)
    except ConfigError:
        return progress
    if connection is None or connection.proxy is not None:  # the question would go another way
        return progress
    host, port = host_and_port(connection.server)
    return replace(progress, detail=sentence(reach(host, port, connection.ca), connection))


def sentence(reached: Reached, connection: Connection) -> str:
    """What is wrong between the node and `connection.server`, for people; "" where nothing is."""
    server = connection.server
    host, port = host_and_port(server)
    names = ", ".join(reached.names) or "others"
    said: dict[Reach, str] = {
        "unreachable": (
            f"{host} can't be reached: its name is unknown here, or nothing comes back; check "
            "the name, and whether this network lets connections out"
        ),
        "not there: nothing listens on the port": (
            f"nothing listens on port {port} of {host}: compare the port with the coordinator's, "
            "or its gateway is not started"
        ),
        "no gateway: what listens on the port speaks no TLS": (
            f"what answers at {server} speaks no TLS, so it is another service: compare the port "
            "with the coordinator's"
        ),
        "no gateway: what listens on the port is another service of its CA": (
            f"what answers at {server} is no gateway: compare the port with the coordinator's"
        ),
        "not the one that its certificate names": (
            f"the certificate at {server} is of the right CA and is not for {host}: use one of its "
            f"names ({names}), or ask the coordinator to add this one to hosts and to renew"
        ),
        "not trusted by its CA": (
            f"the certificate at {server} was not signed by the CA in {connection.ca}: ask the "
            "coordinator for ca.crt and compare its sha256"
        ),
        "out of date: its certificate has ended, or this machine's clock is wrong": (
            f"the certificate at {server} has ended, or this machine's clock is wrong: compare the "
            "clock, and ask the coordinator to renew"
        ),
        "too new: its certificate is not valid yet, or this machine's clock is wrong": (
            f"the certificate at {server} is not valid yet: set this machine's clock"
        ),
        "up without its SuperLink": (
            "the coordinator's gateway answers, and its SuperLink does not; nothing is to be done "
            "here"
        ),
    }
    found = said.get(reached.state, "")
    return f"{found}; trying again" if found else ""

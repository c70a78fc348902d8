"""Does a process serve? Flower's are asked by gRPC's standard health protocol.

SuperLink and SuperNode answer it on the address of their `--health-server-address`, without TLS:
it is for this machine alone.
"""

from datetime import datetime
from typing import Literal

from irene_model.operations.supervised import Running

Health = Literal["serving", "not serving", "unreachable"]

_OFTEN, _SETTLED_S = 3, 60.0


def keeps_ending(process: Running, now: datetime) -> bool:
    """Whether it was started again several times and has not lasted a minute since.

    At a single look such a process may well live, and even serve.
    """
    age = (now - datetime.fromisoformat(process.started)).total_seconds()
    return process.restarts >= _OFTEN and age < _SETTLED_S


def probe(address: str, timeout_s: float = 2.0) -> Health:
    """Ask the process at `address` (host:port), for at most `timeout_s` seconds.

    "unreachable" where nothing answers in time, "not serving" where it answers anything but that
    it serves, which covers a port on which something else listens that speaks gRPC.
    """
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    # A proxy that the environment names has no business between two processes of one machine.
    with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        try:
            answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=timeout_s)
        except grpc.RpcError as error:
            gone = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
            return "unreachable" if error.code() in gone else "not serving"
    serving = answer.status == health_pb2.HealthCheckResponse.SERVING
    return "serving" if serving else "not serving"

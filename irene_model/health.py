"""Does a Flower process serve? Asked by gRPC's standard health protocol.

SuperLink and SuperNode answer it on the address of their `--health-server-address`, without TLS:
it is for this machine alone.
"""

from typing import Literal

Health = Literal["serving", "not serving", "unreachable"]


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

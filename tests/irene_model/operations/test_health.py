"""The health probe against real gRPC servers, Flower's own among them."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from flwr.supercore.grpc_health import run_health_server_grpc_no_tls
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from irene_model.operations.health import probe
from tests.helpers.ports import free_port


@pytest.fixture
def servicer_and_address() -> Iterator[tuple[health.HealthServicer, str]]:
    servicer = health.HealthServicer()
    server = grpc.server(ThreadPoolExecutor(1))
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield servicer, f"127.0.0.1:{port}"
    server.stop(None).wait()


def test_flowers_own_health_server_serves() -> None:
    address = f"127.0.0.1:{free_port()}"
    server = run_health_server_grpc_no_tls(address)
    try:
        assert probe(address) == "serving"
    finally:
        server.stop(None).wait()
    assert probe(address) == "unreachable"


def test_a_process_may_say_that_it_does_not_serve(
    servicer_and_address: tuple[health.HealthServicer, str],
) -> None:
    servicer, address = servicer_and_address
    assert probe(address) == "serving"
    servicer.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
    assert probe(address) == "not serving"


def test_a_server_without_the_protocol_does_not_serve() -> None:
    server = grpc.server(ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        assert probe(f"127.0.0.1:{port}") == "not serving"
    finally:
        server.stop(None).wait()


def test_a_port_that_takes_connections_and_says_nothing_is_unreachable_in_time() -> None:
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        assert probe(f"127.0.0.1:{mute.getsockname()[1]}", timeout_s=0.3) == "unreachable"


def test_a_proxy_in_the_environment_is_not_asked(
    monkeypatch: pytest.MonkeyPatch,
    servicer_and_address: tuple[health.HealthServicer, str],
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    assert probe(servicer_and_address[1]) == "serving"

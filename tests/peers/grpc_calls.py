"""gRPC's own client and server through a running gateway. Opt-in: needs `pip install grpcio`, nothing else.

    python3 tests/peers/grpc_calls.py target/debug/portcullis

Starts a gRPC server and the gateway between it and a client, on free ports of 127.0.0.1, and makes unary, client-streaming,
server-streaming and two-way calls, calls with deadlines and cancellation, errors of trailers only, and messages of 4 MiB. Ends with
status 0 when every answer is the one that the server gives without a gateway.
"""
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from concurrent import futures

import grpc

MIB = 1 << 20
OPTIONS = [("grpc.max_receive_message_length", 16 * MIB), ("grpc.max_send_message_length", 16 * MIB)]


class Service(grpc.GenericRpcHandler):
    """Messages are bytes as they are."""

    def __init__(self):
        self.cancelled = threading.Event()

    def service(self, details):
        calls = {
            "/t.S/Unary": grpc.unary_unary_rpc_method_handler(self.unary),
            "/t.S/Collect": grpc.stream_unary_rpc_method_handler(self.collect),
            "/t.S/Expand": grpc.unary_stream_rpc_method_handler(self.expand),
            "/t.S/Chat": grpc.stream_stream_rpc_method_handler(self.chat),
            "/t.S/Refuse": grpc.unary_unary_rpc_method_handler(self.refuse),
            "/t.S/Hang": grpc.unary_unary_rpc_method_handler(self.hang),
        }
        return calls.get(details.method)

    def unary(self, request, context):
        fields = dict(context.invocation_metadata())
        context.send_initial_metadata([("x-head", fields.get("x-sent", ""))])
        context.set_trailing_metadata([("x-tail", "t"), ("x-tail-bin", b"\x00\xff")])
        return request

    def collect(self, requests, context):
        return b"".join(requests)

    def expand(self, request, context):
        for n in range(int(request)):
            yield b"%d" % n

    def chat(self, requests, context):
        for request in requests:
            yield request.upper()

    def refuse(self, request, context):
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not today: 100 % \u00fc")

    def hang(self, request, context):
        context.add_callback(self.cancelled.set)
        self.cancelled.wait(20)
        return b""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def run(channel, service):
    """Makes every call; raises on the first that is not as it should be."""
    unary = channel.unary_unary("/t.S/Unary")
    answer, call = unary.with_call(b"hello", metadata=[("x-sent", "s")], timeout=10)
    assert answer == b"hello"
    assert dict(call.initial_metadata())["x-head"] == "s"
    tail = dict(call.trailing_metadata())
    assert tail["x-tail"] == "t" and tail["x-tail-bin"] == b"\x00\xff", tail
    big = os.urandom(4 * MIB)
    assert unary(big, timeout=20) == big
    assert unary(b"", timeout=10) == b""
    collect = channel.stream_unary("/t.S/Collect")
    assert collect((b"%d," % n for n in range(1000)), timeout=10) == b"".join(b"%d," % n for n in range(1000))
    assert collect((bytes(MIB) for _ in range(4)), timeout=20) == bytes(4 * MIB)
    expand = channel.unary_stream("/t.S/Expand")
    assert list(expand(b"1000", timeout=10)) == [b"%d" % n for n in range(1000)]
    assert list(expand(b"0", timeout=10)) == []
    # Each answer is awaited before the next message is sent.
    turn = threading.Semaphore(1)

    def words():
        for n in range(100):
            assert turn.acquire(timeout=10)
            yield b"word %d" % n

    got = []
    for answer in channel.stream_stream("/t.S/Chat")(words(), timeout=20):
        got.append(answer)
        turn.release()
    assert got == [b"WORD %d" % n for n in range(100)]
    for method, code in [("Refuse", grpc.StatusCode.FAILED_PRECONDITION), ("Nothing", grpc.StatusCode.UNIMPLEMENTED)]:
        try:
            channel.unary_unary("/t.S/" + method)(b"x", timeout=10)
            raise AssertionError(method + " was answered")
        except grpc.RpcError as error:
            assert error.code() == code, error
            if method == "Refuse":
                assert error.details() == "not today: 100 % \u00fc", error.details()
    hang = channel.unary_unary("/t.S/Hang")
    try:
        hang(b"", timeout=0.3)
        raise AssertionError("a call beyond its deadline was answered")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED, error
    assert service.cancelled.wait(10), "the server does not know of the deadline"
    service.cancelled.clear()
    call = hang.future(b"", timeout=20)
    time.sleep(0.3)
    call.cancel()
    assert service.cancelled.wait(10), "the server does not know that the call was cancelled"
    service.cancelled.clear()
    # Many at once on one connection.
    with futures.ThreadPoolExecutor(32) as pool:
        asked = [b"%d" % n for n in range(500)]
        assert list(pool.map(lambda message: unary(message, timeout=20), asked)) == asked


def main():
    binary = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else "target/debug/portcullis")
    service = Service()
    server = grpc.server(futures.ThreadPoolExecutor(64), options=OPTIONS)
    server.add_generic_rpc_handlers((service,))
    upstream = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{upstream}", options=OPTIONS) as channel:
        run(channel, service)
    print("direct: as expected")
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "gateway.toml")
        with open(path, "w") as file:
            file.write(
                f'[gateway]\nplugin-dir = "{folder}"\nworkers = 2\n[listeners.public]\naddress = "127.0.0.1:{port}"\n'
                f'[[routes]]\nname = "grpc"\nupstream = "grpc"\n'
                f'[upstreams.grpc]\nendpoints = ["127.0.0.1:{upstream}"]\nprotocol = "h2"\n'
            )
        gateway = subprocess.Popen([binary, "run", "--config", path])
        try:
            with grpc.insecure_channel(f"127.0.0.1:{port}", options=OPTIONS) as channel:
                grpc.channel_ready_future(channel).result(timeout=10)
                run(channel, service)
            print("through the gateway: the same")
        finally:
            gateway.terminate()
            status = gateway.wait(40)
    server.stop(None)
    assert status == 0, f"the gateway ended with {status}"


if __name__ == "__main__":
    main()

"""A proxy on this machine, over real sockets: two stories on any free port, bounded in time."""

import socket
from collections.abc import Callable

import pytest
import trio

from tests.patience import PATIENCE_S
from tests.server.harness import RawClient
from tests.server.proxied import upgrade, v1, v2
from trio_chat import open_server
from trio_chat.net.dial import dial_tcp
from trio_chat.server.config import Config, Limits


def lacks_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return True
    return False


@pytest.mark.parametrize("header", [v1, v2])
@pytest.mark.parametrize(("host", "peer"), [("127.0.0.1", "192.0.2.1"), ("::1", "2001:db8::1")])
async def test_peers_behind_a_proxy_on_this_machine_are_counted(
    host: str, peer: str, header: Callable[[str], bytes]
) -> None:
    if host == "::1" and lacks_ipv6():
        pytest.skip("this machine has no IPv6 loopback")
    config = Config(host, 0, proxies=(host,), limits=Limits(connections_per_address=1))
    with trio.fail_after(PATIENCE_S):
        async with open_server(config) as server:
            port = int(server.addresses[0].rpartition(":")[2])

            async def dial(data: bytes) -> RawClient:
                dialled = RawClient(await dial_tcp(host, port))
                dialled.send_bytes(data)
                return dialled

            peers = [await dial(header(peer)), await dial(b""), await dial(b"")]
            for n, each in enumerate(peers):
                await each.hello(f"n{n}")
            late = await dial(header(peer))
            await late.ended_with("too_many_connections")
            other = await dial(header("198.51.100.1"))
            await other.hello("other")
            for forwarded, answer in ((peer, b"HTTP/1.1 503 "), ("192.0.2.9", b"HTTP/1.1 101 ")):
                browser = await dial(upgrade(forwarded))
                assert (await browser.link.receive_some()).startswith(answer)
                browser.link.close()
            for each in (*peers, late, other):
                each.link.close()

"""DNS over UDP: addresses and SRV records, and what is not taken for an answer."""

import dns.rcode
import pytest

from services.gateway.balancing.policy import Replica
from services.gateway.discovery import names
from services.gateway.discovery.names import NameLookup
from services.gateway.discovery.polling import NotFoundError
from services.gateway.discovery.rules import DnsRule
from tests.gateway.discovery.dns_server import DnsServer


def lookup(server: DnsServer, type: str = "A", name: str = "sales.internal") -> NameLookup:
    if type == "SRV":
        return NameLookup("sales", DnsRule(name, "SRV", nameserver=server.address))
    return NameLookup("sales", DnsRule(name, port=8000, nameserver=server.address))


async def test_addresses_of_both_families_in_a_stable_order() -> None:
    async with DnsServer() as server:
        server.zone["sales.internal", "A"] = ["10.0.0.2", "10.0.0.1"]
        server.zone["sales.internal", "AAAA"] = ["fd00::1"]
        assert await lookup(server)() == (
            Replica("sales", "10.0.0.1", 8000),
            Replica("sales", "10.0.0.2", 8000),
            Replica("sales", "[fd00::1]", 8000),
        )
        server.zone["sales.internal", "A"] = ["10.0.0.3"]
        del server.zone["sales.internal", "AAAA"]
        assert await lookup(server)() == (Replica("sales", "10.0.0.3", 8000),)


async def test_the_systems_names() -> None:
    found = await NameLookup("sales", DnsRule("localhost", port=8000))()
    assert {replica.host for replica in found} <= {"127.0.0.1", "[::1]"}
    assert {replica.port for replica in found} == {8000}
    with pytest.raises(NotFoundError, match=r"^nobody\.invalid: "):
        await NameLookup("sales", DnsRule("nobody.invalid", port=8000))()


async def test_srv_records_say_ports_and_weights() -> None:
    async with DnsServer() as server:
        server.zone["_api._tcp.sales", "SRV"] = [
            "10 60 8001 A.internal.",
            "10 0 8002 b.internal.",
            "20 90 8003 reserve.internal.",
            "10 5 8002 b.internal.",
        ]
        assert await lookup(server, "SRV", "_api._tcp.sales")() == (
            Replica("sales", "a.internal", 8001, 60),
            Replica("sales", "b.internal", 8002, 6),
        )


async def test_a_service_that_is_not_offered() -> None:
    async with DnsServer() as server:
        server.zone["sales.internal", "SRV"] = ["0 0 0 ."]
        assert await lookup(server, "SRV")() == ()


@pytest.mark.parametrize("type", ["A", "SRV"])
@pytest.mark.parametrize(
    "rcode", [dns.rcode.NOERROR, dns.rcode.NXDOMAIN, dns.rcode.SERVFAIL, dns.rcode.REFUSED]
)
async def test_no_answer_is_told(type: str, rcode: dns.rcode.Rcode) -> None:
    async with DnsServer() as server:
        server.rcode = rcode
        with pytest.raises(NotFoundError, match=r"^sales\.internal: \w+"):
            await lookup(server, type)()


@pytest.mark.parametrize("type", ["A", "SRV"])
async def test_a_silent_server_is_told(type: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "LIFETIME_S", 0.1)
    async with DnsServer() as server:
        server.silent = True
        with pytest.raises(NotFoundError, match="LifetimeTimeout"):
            await lookup(server, type)()
        assert server.asked > 0

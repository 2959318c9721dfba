"""A name server on UDP that says what the test tells it."""

import asyncio
from typing import Self

import dns.flags
import dns.message
import dns.rcode
import dns.rrset


class DnsServer(asyncio.DatagramProtocol):
    """`zone` maps (name, type) to the texts of records; `rcode` spoils every answer, `silent` swallows them."""

    def __init__(self) -> None:
        self.zone: dict[tuple[str, str], list[str]] = {}
        self.rcode = dns.rcode.NOERROR
        self.silent = False
        self.asked = 0

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", 0))
        host, port = self._transport.get_extra_info("sockname")
        self.address: tuple[str, int] = (host, port)
        return self

    async def __aexit__(self, *error: object) -> None:
        self._transport.close()

    def datagram_received(self, data: bytes, peer: tuple[str, int]) -> None:
        self.asked += 1
        if self.silent:
            return
        query = dns.message.from_wire(data)
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.RA
        answer.set_rcode(self.rcode)
        for question in query.question:
            kind = dns.rdatatype.to_text(question.rdtype)
            records = self.zone.get((question.name.to_text(omit_final_dot=True), kind), [])
            if records:
                answer.answer.append(dns.rrset.from_text(question.name, 0, "IN", kind, *records))
        self._transport.sendto(answer.to_wire(), peer)

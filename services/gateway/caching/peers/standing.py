"""Until when a gateway may use what it has stored: as long as nobody can have acknowledged a write that it missed."""

from services.gateway.caching.peers.rule import PeersRule


class Standing:
    """One gateway's own. Pure; all times are of one monotonic clock, in nanoseconds.

    Two things are needed. A proof, for each upstream: everything that was committed before it was asked for is
    stamped. And the registry's word that we are in it, so that whoever writes waits for us; with `registers` false
    there is no registry, and every writer waits as long as a proof holds. A proof that was asked for before we were
    entered says nothing of what was written in between, by somebody who did not find us. And while a registry is not
    settled, somebody may still be told by the former one that he knows all who have to hear of his writes.
    """

    def __init__(self, rule: PeersRule, *, registers: bool) -> None:
        self.rule = rule
        self._registers = registers
        self._token = ""
        self._entered_ns = 0
        self._kept_until_ns = 0
        self._proven_ns: dict[str, int] = {}
        self.entries = 0
        """How often we were entered, or cannot know that we always were."""

    @property
    def registers(self) -> bool:
        """Whether there is a registry."""
        return self._registers

    def renewed(self, sent_ns: int, now_ns: int, *, token: str, entered: bool, settled: bool) -> None:
        """The registry, which `token` tells from any other, has us; `entered`: since just now."""
        if entered or token != self._token or sent_ns >= self._kept_until_ns:
            self._entered_ns = now_ns
            self._token = token
            self.entries += 1
        self._kept_until_ns = max(self._kept_until_ns, sent_ns + self.rule.lease_ns) if settled else 0

    def proven(self, upstream: str, asked_ns: int) -> None:
        """Everything that was committed there before `asked_ns` is stamped."""
        self._proven_ns[upstream] = max(self._proven_ns.get(upstream, 0), asked_ns)

    def forget(self, upstream: str) -> None:
        """What was proven of it does not hold any more."""
        self._proven_ns.pop(upstream, None)

    def kept(self, now_ns: int) -> bool:
        """Whether we are certain to be in the registry, if there is one."""
        return not self._registers or now_ns < self._kept_until_ns

    def until_ns(self, upstream: str) -> int:
        """Before this instant what is stored of the upstream may be used; 0: not at all."""
        asked_ns = self._proven_ns.get(upstream)
        if asked_ns is None:
            return 0
        until_ns = asked_ns + self.rule.freshness_ns
        if not self._registers:
            return until_ns
        return min(until_ns, self._kept_until_ns) if asked_ns >= self._entered_ns else 0

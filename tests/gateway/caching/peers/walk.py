"""A world whose adversary is drawn at random, by the thousand steps."""

import random

from services.gateway.caching.peers.rule import PeersRule
from tests.gateway.caching.peers.world import MS, World

RULE = PeersRule(freshness_ns=100 * MS, lease_ns=300 * MS)


def walk(rule: PeersRule, seed: int, steps: int, *, registers: bool = True, calm: float = 0.9) -> World:
    """So many steps; `calm` is how often what is sent arrives soon."""
    draw = random.Random(seed)  # noqa: S311 - the same each time
    world = World(rule, 3, draw, registers=registers)
    for _ in range(steps):
        _step(world, draw, calm)
    return world


def _step(world: World, draw: random.Random, calm: float) -> None:
    gateway = draw.choice(world.gateways)
    chance = draw.random()
    if chance < 0.25:
        world.read(gateway)
    elif chance < 0.31:
        world.fetch(gateway)
    elif chance < 0.46:
        world.ask(gateway)
    elif chance < 0.56:
        world.renew(gateway)
    elif chance < 0.59:
        world.write(gateway)
    elif chance < 0.67:
        world.pass_time(draw.choice((1, 5, 20, 60)) * MS)
    elif chance < 0.997:
        while world.post and draw.random() < calm:
            world.deliver(draw.randrange(len(world.post)))
    else:
        _upset(world, draw)


def _upset(world: World, draw: random.Random) -> None:
    gateway = draw.choice(world.gateways)
    what = draw.randrange(9)
    if what == 0:
        world.start_anew(draw.randrange(len(world.gateways)))
    elif what == 1:
        world.part(gateway)
    elif what in (2, 3):
        world.meet(gateway)
    elif what == 4:
        world.remember()
    elif what == 5:
        world.empty_registry()
    elif what == 6:
        world.replace_registry(draw.randrange(3))
    elif what == 7:
        world.lose(draw.randrange(1_000))
    else:
        world.change_past()
        world.pass_time(draw.choice((60, 120, 350)) * MS)

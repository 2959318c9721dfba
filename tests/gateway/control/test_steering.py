from services.gateway.control.steering import Order, Steering


def test_a_drain_remembers_the_weight() -> None:
    steering = Steering([Order("web", "a:1", weight=0.5)])
    steering.give(steering.drained("web", "a:1", True))
    assert steering.of("web", "a:1").live_weight == 0.0
    steering.give(steering.drained("web", "a:1", False))
    assert steering.of("web", "a:1").live_weight == 0.5


def test_a_weight_does_not_end_a_drain() -> None:
    steering = Steering([Order("web", "a:1", drained=True)])
    steering.give(steering.weighed("web", "a:1", 2.0))
    assert steering.of("web", "a:1") == Order("web", "a:1", drained=True, weight=2.0)


def test_replicas_of_the_same_address_are_told_apart_by_upstream() -> None:
    steering = Steering([Order("web", "a:1", drained=True)])
    assert steering.of("api", "a:1").live_weight == 1.0


def test_what_says_nothing_is_forgotten() -> None:
    steering = Steering([Order("web", "a:1", drained=True)])
    steering.give(Order("web", "a:1"))
    assert list(steering) == []


def test_orders_travel() -> None:
    order = Order("web", "a:1", drained=True, weight=0.25)
    assert Order(**order.as_json()) == order

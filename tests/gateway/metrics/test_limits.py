from services.gateway.caching.second.rule import ServersRule
from services.gateway.limits.common_rule import CommonRule
from services.gateway.limits.rate_limiter import RateLimiter
from services.gateway.limits.stepping import Stepper
from services.gateway.limits.token_bucket import Rate
from services.gateway.metrics.limits import shared_limit_families
from shared.telemetry.metrics.families import merged
from tests.shared.telemetry.metrics.recording import scraped, value


def test_workers_that_limit_without_the_others_are_counted() -> None:
    stepper = Stepper(CommonRule(ServersRule((("127.0.0.1", 1),))), RateLimiter(Rate()), Rate())
    stepper.counts["forgotten"] += 3
    families = shared_limit_families(stepper.describe())
    samples = scraped(merged([families, families]))
    assert value(samples, "crm_gateway_rate_limit_alone") == 2
    assert value(samples, "crm_gateway_rate_limit_shared_total", outcome="forgotten") == 6
    in_step = scraped(shared_limit_families({**stepper.describe(), "in_step": True}))
    assert value(in_step, "crm_gateway_rate_limit_alone") == 0


def test_where_no_others_are_named_there_is_nothing_to_tell() -> None:
    assert shared_limit_families(None) == []

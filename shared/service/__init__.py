"""One factory makes every service's application alike: identity, problems, request ids, health, docs, telemetry."""

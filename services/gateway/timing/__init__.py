"""What is known of a request's time, and how it is told: trace context, spans, the access log."""

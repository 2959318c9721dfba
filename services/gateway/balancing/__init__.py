"""Which replica of an upstream takes a request."""

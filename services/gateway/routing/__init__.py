"""Which upstream a request is for."""

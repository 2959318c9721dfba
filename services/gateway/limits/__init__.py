"""How much a caller may ask: sizes of one request, and requests per time."""

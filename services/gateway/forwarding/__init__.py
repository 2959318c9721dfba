"""Carrying a request to a replica and its answer back."""

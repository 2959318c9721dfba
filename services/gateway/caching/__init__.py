"""The gateway's cache: what may be kept and used again, and what is dropped when there is no more room."""

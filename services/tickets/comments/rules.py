"""What a comment means for its ticket. Pure decisions."""


def is_response(visibility: str, author_kind: str) -> bool:
    """Whether the requester has been answered by it."""
    return visibility == "public" and author_kind == "agent"

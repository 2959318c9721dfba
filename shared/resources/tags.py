"""What an answer of a resource contains: the records and lists that it would be out of date without. See `events.tags`.

A part is shown only while its parent is there, so it has its parent's tag as well. An included record is named where
it is shown; where nothing or a list is shown, any record of that kind might belong there after its next change.
"""

import json
from collections.abc import Iterable

from shared.events.tags import TAGS_HEADER, TENANT_WIDE, VISIBILITY_HEADER, list_tag, record_tag, write_tags
from shared.resources.definition import Resource
from shared.resources.listing import Selection
from shared.resources.reading import Found
from shared.resources.statements import Scope

Headers = dict[str, str]


def tag_headers(tags: Iterable[str]) -> Headers:
    """The headers of an answer with these tags. Nothing in an answer depends on who in the tenant asks."""
    return {TAGS_HEADER: write_tags(dict.fromkeys(tags)), VISIBILITY_HEADER: TENANT_WIDE}


class ResourceTags:
    """The tags of one resource's answers."""

    def __init__(self, resource: Resource) -> None:
        self._resource = resource
        self._whole_list = tag_headers([resource.kind, list_tag(resource.kind)])

    def of_list(self, scope: Scope, selection: Selection) -> Headers:
        """A page, or what is counted over a list."""
        if scope.parent_id is None and not selection.includes:
            return self._whole_list
        included = [self._resource.includes[name].target.kind for name in selection.includes]
        lists = [tag for kind in included for tag in (kind, list_tag(kind))]
        kind = self._resource.kind
        return tag_headers([kind, list_tag(kind, scope.parent_id), *self._parent(scope), *lists])

    def of_one(self, scope: Scope, found: Found, selection: Selection) -> Headers:
        """A single record."""
        tags = [self._resource.kind, record_tag(self._resource.kind, found.record_id), *self._parent(scope)]
        if selection.includes:
            document = json.loads(found.body)
            for name in selection.includes:
                kind, shown = self._resource.includes[name].target.kind, document[name]
                tags += [kind, record_tag(kind, shown["id"]) if isinstance(shown, dict) else list_tag(kind)]
        return tag_headers(tags)

    def _parent(self, scope: Scope) -> list[str]:
        parent = self._resource.parent
        if parent is None:
            return []
        return [parent.resource.kind, record_tag(parent.resource.kind, scope.parent_id)]

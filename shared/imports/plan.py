"""A mapping held against what a service can import: the fields exist, the required ones are filled."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from shared.imports.merge import MergeStatements
from shared.imports.reading.mapping import Mapping as ColumnMapping
from shared.imports.target import ImportTarget
from shared.problems import FieldError, Problem, invalid_fields
from shared.resources.bodies import parse_object, validated


@dataclass(frozen=True)
class Plan:
    """What one import does: the caller's mapping and the target it fits."""

    mapping: ColumnMapping
    target: ImportTarget

    @cached_property
    def document(self) -> dict[str, Any]:
        """The mapping as it is stored with the job."""
        return self.mapping.model_dump(mode="json", by_alias=True, exclude_unset=True)

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """The target's fields that the file fills, in the target's order."""
        return tuple(name for name in self.target.fields if name in self.mapping.columns)

    @cached_property
    def together(self) -> bool:
        """Whether rows of the file speak of each other, so that they can only be merged all at once."""
        return not {self.target.sequence, *self.target.together}.isdisjoint(self.fields)

    def statements(self) -> MergeStatements:
        """The SQL of its batches."""
        return MergeStatements(self.target, self.fields)


def read_plan(text: str, targets: Mapping[str, ImportTarget]) -> Plan:
    """The plan of a mapping document. Raises a `Problem` with pointers below `/mapping`."""
    try:
        document = parse_object(text.encode("utf-8", "surrogatepass"))
    except Problem as problem:
        detail = problem.detail or problem.title
        raise invalid_fields([FieldError("/mapping", "malformed", detail)]) from None
    return make_plan(validated(ColumnMapping, document, "/mapping"), targets)


def make_plan(mapping: ColumnMapping, targets: Mapping[str, ImportTarget]) -> Plan:
    """Holds a valid mapping against the targets. Raises 422."""
    target = targets.get(mapping.resource)
    if target is None:
        known = ", ".join(targets)
        raise invalid_fields(
            [FieldError("/mapping/resource", "unknown_resource", f"This service imports {known}.")]
        )
    errors = [
        FieldError(
            f"/mapping/columns/{name}",
            "unknown_field",
            f"{mapping.resource} takes {', '.join(target.fields)}.",
        )
        for name in mapping.columns
        if name not in target.fields
    ]
    errors += [
        FieldError("/mapping/columns", "missing_field", f"{name} is required and not mapped.")
        for name, field in target.fields.items()
        if field.required and name not in mapping.columns
    ]
    errors += [
        FieldError(f"/mapping/columns/{name}/currency", "missing", f"{name} is money: name its currency.")
        for name, rule in mapping.columns.items()
        if name in target.fields and target.fields[name].kind == "money" and rule.currency is None
    ]
    if errors:
        raise invalid_fields(errors)
    return Plan(mapping, target)

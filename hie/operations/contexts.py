"""Which value set the context of one means: the binding of an element, of R4 or of a profile.

https://hl7.org/fhir/R4/valueset-operation-expand.html
"""

from __future__ import annotations

from typing import Any

from hie.context import Context
from hie.errors import InvalidRequest, NotFound, Unprocessable
from hie.fhir import facts, snapshots
from hie.fhir.snapshots import SnapshotError
from hie.operations.published import Published

Json = dict[str, Any]

_OF_R4 = "http://hl7.org/fhir/StructureDefinition/"


def bound_to(context: str, ctx: Context) -> str:
    """Return the value set of `[structure definition]#[path or id of an element]`, or of the path of one of R4 alone.
    """
    url, _, element = context.rpartition("#")
    type_name = element.partition(".")[0]
    binding = facts.load()["bindings"].get(element) if url in ("", f"{_OF_R4}{type_name}") else None
    found = None if binding is None else str(binding[1])
    if found is None and (url or type_name in facts.RESOURCE_TYPES):
        found = _of_profile(url or f"{_OF_R4}{type_name}", element, ctx)
    if found is None:
        raise InvalidRequest(f"context {context[:200]!r} names no element that is bound to a value set; an example is "
                             f"{_OF_R4}Patient#Patient.gender.", expression="context")
    return found


def _of_profile(url: str, name: str, ctx: Context) -> str | None:
    rows = _elements(url, Published(ctx.store, ctx.profiles))
    by_id = {one.get("id"): one for one in rows}
    unsliced = {one.get("path"): one for one in rows if ":" not in one.get("id", "")}
    found = by_id.get(name) or unsliced.get(name)
    if found is None:  # what a snapshot does not unfold is that of the type which stands there
        above, _, last = name.rpartition(".")
        return _of_type(by_id.get(above) or unsliced.get(above) or {}, last)
    binding = found.get("binding", {})
    return str(binding["valueSet"]) if "valueSet" in binding else None


def _elements(url: str, published: Published) -> list[Json]:
    definition = published.named(url)
    if definition is None:
        raise NotFound(f"StructureDefinition {url[:200]} is not known here.{published.lacking}", expression="context")
    if not definition.get("snapshot", {}).get("element"):
        try:
            definition = snapshots.generated(definition, published)
        except SnapshotError as error:
            raise Unprocessable(f"StructureDefinition {url[:200]} has no snapshot, and none can be made: "
                                f"{error.issues[0].diagnostics}", expression="context") from None
    rows: list[Json] = definition["snapshot"]["element"]
    return rows


def _of_type(above: Json, last: str) -> str | None:
    types = above.get("type", [])
    binding = facts.load()["bindings"].get(f"{types[0]['code']}.{last}") if len(types) == 1 else None
    return None if binding is None else str(binding[1])

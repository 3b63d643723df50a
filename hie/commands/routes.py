"""Print every route of the server as the route tables have it."""

from __future__ import annotations

from collections.abc import Iterator

from hie.registry import built_in, with_plugins
from hie.web import openapi

#: interaction -> letter of the scope that it asks for
_LETTERS = {
    "read": "r", "vread": "r", "history-instance": "r", "history-type": "r", "history-system": "r", "search-type": "s",
    "search-system": "s", "search-compartment": "s", "search-compartment-form": "s",
    "search-form": "s", "create": "c", "update": "u", "conditional-update": "u", "delete": "d",
    "conditional-delete": "d",
}  # fmt: skip


def table() -> Iterator[str]:
    """Yield method, address, scope and meaning of every route."""
    paths = openapi.document(with_plugins(built_in()))["paths"]
    for path, item in sorted(paths.items()):
        for method, operation in item.items():
            yield f"{method.upper():7}{path:46}{_scope(path, operation):24}{operation['summary']}".rstrip()


def _scope(path: str, operation: dict[str, object]) -> str:
    if operation.get("security") == []:
        return "(open)"
    if not path.startswith("/fhir"):
        return "admin"
    letter = _LETTERS.get(str(operation["operationId"]).partition(" ")[0])
    return f"system/[type].{letter}" if letter else "system/…"

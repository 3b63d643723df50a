"""The value set of all codes of a code system, which the code system itself names: found by its URL.

https://hl7.org/fhir/R4/codesystem-definitions.html#CodeSystem.valueSet. R4 has no search parameter for it, so that this
one is the index's own; no client can ask by its name.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hie.fhir.search_parameters import SearchParameter
from hie.store.search import uri
from hie.store.search.blinding import Form

#: A colon, which no code of a search parameter has.
CODE = "valueSet:"
PARAMETER = SearchParameter(
    CODE, "uri", "CodeSystem", "CodeSystem.valueSet", frozenset(), (), "", frozenset({"canonical"}), False
)


def index(resource: dict[str, Any]) -> Iterator[Form]:
    """Yield what is hashed of a code system that names its value set: the URL with and without its version."""
    named = resource.get("valueSet") if resource["resourceType"] == "CodeSystem" else None
    if isinstance(named, str):
        for form in uri.index((CODE, named)):
            if form[0] == "uri":
                yield form

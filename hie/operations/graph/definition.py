"""Which GraphDefinition a client means: by its canonical URL, its name, or where it is stored.

R4 types the parameter as a uri and leaves to the server which definitions there are; Medplum's clients give names.
"""

from __future__ import annotations

from typing import Any

from hie.context import Context
from hie.errors import NotFound, Unprocessable
from hie.fhir import json_format, references
from hie.fhir.terminology.terminology import split_canonical
from hie.store.search.reference import relative
from hie.store.terminology import StoredTerminology

Json = dict[str, Any]

_TYPE = "GraphDefinition"


class _Several(Unprocessable):
    code = "multiple-matches"


def find(text: str, ctx: Context) -> Json:
    """Return the definition; NotFound where the token may search none such."""
    to = references.parse(relative(relative(text, ctx.store.base_url), ctx.base_url))
    if to.kind == "relative" and to.type == _TYPE and to.id is not None:
        found: Json = json_format.parse(ctx.store.read(_TYPE, to.id).content or b"{}")
        return found
    stored = StoredTerminology(ctx.store)
    known = stored.find(_TYPE, *split_canonical(text))
    if known is not None:
        return known.resource
    named = stored.named(_TYPE, text)
    if not named:
        raise NotFound(f"No GraphDefinition with the canonical URL or the name {text[:200]!r} is known here.",
                       expression="graph")
    if len(named) > 1:
        urls = ", ".join(str(one.resource.get("url", f"GraphDefinition/{one.resource['id']}")) for one in named[:20])
        raise _Several(f"Several GraphDefinitions have the name {text[:200]!r}; say which: {urls[:800]}.",
                       expression="graph")
    return named[0].resource

"""`_asOf=<instant>`: the record as it was, for read, search and $everything; a parameter of this server's own.

R4 has `_at` for history alone: https://hl7.org/fhir/R4/http.html#history. What is promised: docs/adr/0018.
"""

from __future__ import annotations

import re

from hie.context import Context
from hie.errors import InvalidSearch
from hie.fhir.http import FhirRequest
from hie.fhir.instants import instant, parse_instant
from hie.fhir.paging import AS_OF

#: An instant without a zone could be meant in anybody's.
_ZONE = re.compile(r"(Z|[+-][0-9]{2}:[0-9]{2})$")


def context(request: FhirRequest, ctx: Context) -> Context:
    """Return the context whose store is the record as of the instant that the request names, if it names one."""
    given = [text for name, text in request.parameters if name == AS_OF]
    if not given:
        return ctx
    if len(set(given)) > 1:
        raise InvalidSearch(f"{AS_OF} is given more than once.", expression=AS_OF)
    text = given[0].replace(" ", "+")  # a bare + in a URL means a space
    at = parse_instant(text)
    if at is None or _ZONE.search(text) is None:
        raise InvalidSearch(
            f"{AS_OF} is {given[0][:80]!r}; it is an instant, such as 2024-05-17T10:30:00.123Z.", expression=AS_OF)
    if at > ctx.clock():
        raise InvalidSearch(
            f"{AS_OF} is {given[0][:40]!r}, which is yet to come; it is {instant(ctx.clock())} here.", expression=AS_OF)
    return ctx.within(ctx.store.as_of(at))

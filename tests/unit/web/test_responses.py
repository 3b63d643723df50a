"""From FhirResponse to HTTP (hie.web.responses); what clients see of it is in tests/conformance."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from hie.fhir.http import FhirRequest, FhirResponse
from hie.web import responses
from hie.web.negotiation import Accepted
from hie.web.responses import respond

ANSWER = FhirResponse(200, b'{"resourceType":"Bundle","type":"searchset"}')
IN_XML = Accepted(True, True, True)


@pytest.mark.parametrize(("large", "at_once"), [(10, 1), (1_000, 2)], ids=["large", "small"])
def test_large_answers_are_written_anew_one_at_a_time(monkeypatch: Any, large: int, at_once: int) -> None:
    monkeypatch.setattr(responses, "LARGE", large)
    real = responses.resource.as_xml
    together, most, now = threading.Barrier(2), [0], [0]

    def slow(content: bytes, *, pretty: bool) -> bytes:
        now[0] += 1
        most[0] = max(most[0], now[0])
        try:
            together.wait(0.2 if at_once == 1 else 10)
        except threading.BrokenBarrierError:
            together.reset()
        now[0] -= 1
        return real(content, pretty=pretty)

    monkeypatch.setattr(responses.resource, "as_xml", slow)
    request = FhirRequest("search-type", "Patient")
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda _: respond(request, ANSWER, "http://x", IN_XML).body, range(2)))
    assert (found, most[0]) == ([real(ANSWER.content or b"")] * 2, at_once)


def test_a_statement_is_written_as_xml_once_for_all(monkeypatch: Any) -> None:
    """Anybody may ask for it, and writing it takes a hundred times what a read does."""
    real, written = responses.resource.as_xml, list[bool]()

    def counted(content: bytes, *, pretty: bool) -> bytes:
        written.append(pretty)
        return real(content, pretty=pretty)

    monkeypatch.setattr(responses.resource, "as_xml", counted)
    told = FhirResponse(200, b'{"resourceType":"CapabilityStatement","status":"active"}')
    plain, pretty = (FhirRequest("capabilities", parameters=form) for form in ((), (("_pretty", "true"),)))
    bodies = [respond(asked, told, "http://x", IN_XML).body for asked in (plain, pretty, plain, pretty)]
    assert (bodies[:2], written) == (bodies[2:], [False, True])
    assert b'status value="active"' in bodies[0] != bodies[1]

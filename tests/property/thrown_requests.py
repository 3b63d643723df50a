"""Requests that are thrown at the wire, drawn by hypothesis: queries, headers, addresses, whole Bundles."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from hie.fhir import search_parameters
from tests.builders import SYSTEM, bundle, encounter, entry, observation, post, put
from tests.property.thrown import RESOURCES, TEXTS, URN, mutated


@st.composite
def searches(draw: st.DrawFn, type_name: str) -> str:
    """A query of the parameters that the type has, with modifiers, prefixes and values that need not fit."""
    known = sorted(search_parameters.for_type(type_name))
    results = [
        "_count",
        "_sort",
        "_include",
        "_revinclude",
        "_include:iterate",
        "_total",
        "_summary",
        "_elements",
        "_format",
        "_pretty",
        "_cursor",
        "_contained",
        "_since",
        "_at",
        "_type",
        "_has:Observation:patient:code",
        "subject.name",
        "nonsense",
        "",
    ]
    modifiers = [
        "exact",
        "contains",
        "missing",
        "not",
        "identifier",
        "text",
        "in",
        "below",
        "above",
        "of-type",
        "Patient",
        "Nonsense",
        "",
    ]
    parts = []
    for _ in range(draw(st.integers(1, 4))):
        name = draw(st.sampled_from(known)) if draw(st.booleans()) else draw(st.sampled_from([*known, *results]))
        if draw(st.integers(0, 3)) == 0:
            name += ":" + draw(st.sampled_from(modifiers))
        values = []
        for _ in range(draw(st.integers(1, 3))):
            prefix = draw(
                st.sampled_from(["", "", "", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap", "xx", "-"])
            )
            middle = draw(
                st.one_of(
                    TEXTS,
                    st.sampled_from(
                        [
                            "2020-01-01",
                            "80",
                            "80|http://unitsofmeasure.org|/min",
                            "http://loinc.org|8867-4",
                            f"{SYSTEM}|1",
                            "8867-4$gt5",
                            "a$b$c",
                            "Observation:subject",
                            "Patient:organization:Organization",
                            "*",
                            "name",
                            "subject:Patient.family",
                            "-Patient:patient.birthdate",
                            "encounter.patient._id",
                            "count",
                            "none",
                            "accurate",
                        ]
                    ),
                )
            )
            values.append(prefix + middle)
        parts.append(f"{name}={','.join(values)}")
    return "&".join(parts)


HEADERS = st.dictionaries(
    st.sampled_from(
        [
            "Accept",
            "Content-Type",
            "Prefer",
            "If-Match",
            "If-None-Match",
            "If-Modified-Since",
            "If-None-Exist",
            "X-Request-Id",
            "X-Security-Context",
            "Content-Length",
            "Authorization",
            "Host",
            "Accept-Encoding",
            "Content-Encoding",
            "Range",
            "Origin",
            "Access-Control-Request-Method",
        ]
    ),
    st.one_of(
        st.sampled_from(
            [
                "application/fhir+json",
                "application/json;charset=utf-16",
                "*/*;q=nan",
                "text/html",
                "application/fhir+xml",
                "image/png",
                "application/dicom",
                "application/x-www-form-urlencoded",
                'W/"1"',
                'W/"99999999999999999999"',
                'W/"0"',
                "*",
                '"',
                "1",
                "return=minimal",
                "return=OperationOutcome, handling=strict",
                "return=x",
                "handling=lenient;x",
                "respond-async",
                "identifier=1",
                "_id=a&_id=b",
                "_count=1",
                "%ff",
                "=",
                "Sun, 13 Sep 2020 12:26:40 GMT",
                "Sun, 13 Sep 0000 12:26:40 GMT",
                "Fri, 31 Dec 9999 23:59:59 -2359",
                "Sun, 31 Feb 2020 99:99:99 GMT",
                "-1",
                "5",
                "999999999",
                "Bearer",
                "Bearer x",
                "Basic eDp5",
                "gzip",
                "br",
                "br;q=0, *",
                "application/fhir+xml;q=0.5, application/fhir+json;q=0.4",
                "bytes=0-1",
                "Patient/a",
            ]
        ),
        st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=16),
    ),
    max_size=3,
)
URLS = st.one_of(
    st.sampled_from(
        [
            "",
            "/",
            "Patient",
            "Patient/a",
            "Patient/a/_history",
            "Patient/a/_history/1",
            "Patient?identifier=1",
            "Patient?",
            "Patient?name=x&_count=0",
            "Observation?subject=Patient/a",
            "_history",
            "metadata",
            "$validate",
            "Patient/$validate",
            "Patient/a/$everything",
            "Patient/a/$recommend",
            "Media/m/$diagnose",
            "Patient/_search",
            "Bundle",
            "http://localhost/fhir/Patient",
            "//x",
            "/Patient",
            "Patient/" + "a" * 65,
            "Patient/..",
            "Nonsense",
            "Patient/a?x=1",
            "?",
            "%",
        ]
    ),
    TEXTS,
)


@st.composite
def bundles(draw: st.DrawFn) -> Any:
    """A Bundle whose entries point at each other, twice at the same thing, at nothing, and are then mutated."""
    rows: list[Any] = []
    for _ in range(draw(st.integers(0, 5))):
        resource = draw(st.sampled_from(RESOURCES))
        resource = json.loads(json.dumps(resource))
        target = draw(
            st.sampled_from(
                [
                    URN + "1",
                    URN + "2",
                    URN + "9",
                    "Patient/a",
                    "Patient/nobody",
                    "Patient?identifier=1",
                    "Observation/o",
                ]
            )
        )
        if draw(st.booleans()):
            resource = draw(
                st.sampled_from(
                    [observation(target), encounter(target), {**observation(), "derivedFrom": [{"reference": target}]}]
                )
            )
        match draw(st.sampled_from(["post", "put", "any", "any"])):
            case "post":
                row = post(resource)
            case "put":
                row = put({**resource, "id": draw(st.sampled_from(["a", "b", "o"]))})
            case _:
                method = draw(st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "FOO"]))
                row = entry(method, draw(URLS), resource if draw(st.booleans()) else None)
        if draw(st.booleans()):
            row["fullUrl"] = draw(
                st.sampled_from([URN + "1", URN + "2", "http://localhost/fhir/Patient/a", "Patient/a", "x"])
            )
        for name in ("ifNoneExist", "ifMatch", "ifNoneMatch", "ifModifiedSince"):
            if draw(st.integers(0, 9)) == 0:
                row["request"][name] = draw(
                    st.one_of(st.sampled_from(["identifier=1", 'W/"1"', "2020-01-01T00:00:00Z"]), TEXTS)
                )
        rows.append(row)
    type_ = draw(st.sampled_from(["transaction", "transaction", "batch", "history"]))
    if type_ == "history":
        for number, row in enumerate(rows):
            at = f"2024-05-01T10:00:{number:02d}Z"
            row["response"] = {"status": "200", "etag": f'W/"{number}"', "lastModified": at}
            if "resource" in row:
                row["resource"] = {"id": "o", **row["resource"], "meta": {"versionId": str(number)}}
    return mutated(draw, bundle(*rows, type_=type_), 1)

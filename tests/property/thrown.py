"""What is thrown at the wire, drawn by hypothesis: texts, JSON, resources that are almost right, pictures."""

from __future__ import annotations

import base64
import io
import json
import os
import zipfile
from collections.abc import Iterator
from typing import Any

from hypothesis import HealthCheck
from hypothesis import settings as examples
from hypothesis import strategies as st

from hie.fhir import facts
from tests import pictures
from tests.builders import bundle, encounter, observation, parameters, patient, post, practitioner

#: A long run is asked for by hand: WIRE_EXAMPLES=5000 pytest tests/property/test_wire_fuzz.py
EXAMPLES = int(os.environ.get("WIRE_EXAMPLES", "100"))
URN = "urn:uuid:11111111-1111-1111-1111-11111111111"
anything = examples(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize="WIRE_EXAMPLES" not in os.environ,
    database=None,
    suppress_health_check=list(HealthCheck),
)

TEXTS = st.one_of(
    st.sampled_from(
        [
            "",
            " ",
            "a",
            "1",
            "-1",
            "0",
            "9" * 30,
            "1e400",
            "1e-400",
            "2020",
            "0000",
            "9999-12-31T23:59:59-14:00",
            "0001-01-01T00:00:00+14:00",
            "2020-02-30",
            "2016-12-31T23:59:60Z",
            "Patient/a",
            "Patient/a/_history/1",
            "Patient?identifier=1",
            "Patient?",
            "#a",
            "#",
            URN + "1",
            URN + "9",
            "urn:oid:1.2",
            "http://localhost/fhir/Patient/a",
            "http://other/fhir/Patient/b",
            "../Patient/a",
            "//",
            "é",
            "\u202egnp",
            "\x00",
            "\x07",
            "\ud83d",
            "\U0001f600",
            "\uffff",
            "a" * 65,
            "%",
            "%00",
            "|",
            "||",
            "$",
            ",",
            "\\",
            "final",
            "male",
            "true",
            "image/png",
            "AA==",
            "!!!",
            'W/"1"',
        ]
    ),
    st.text(max_size=12),
)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=8,
)
TYPES = sorted(facts.RESOURCE_TYPES)
RESOURCES: list[Any] = [
    patient(
        id="a",
        identifier="1",
        contact=[{"name": {"family": "x"}}],
        managingOrganization={"reference": "#o"},
        contained=[{"resourceType": "Organization", "id": "o", "name": "x"}],
    ),
    observation(
        "Patient/a", id="o", component=[{"code": {"text": "c"}, "valueString": "x"}], derivedFrom=[{"reference": "#x"}]
    ),
    encounter("Patient/a", id="e", period={"start": "2020-01-01", "end": "2020-01-02"}),
    practitioner(id="p"),
    parameters(resource=patient(), mode=("Code", "create")),
    {"resourceType": "Binary", "id": "b", "contentType": "image/png", "data": "AAAA"},
    {
        "resourceType": "Media",
        "id": "m",
        "status": "completed",
        "subject": {"reference": "Patient/a"},
        "content": {"contentType": "image/png", "data": base64.b64encode(pictures.encoded(pictures.ramp())).decode()},
    },
    {
        "resourceType": "Basic",
        "id": "x",
        "code": {"text": "x"},
        "extension": [{"url": "http://x", "valueQuantity": {"value": 1.50}}],
    },
    {"resourceType": "ValueSet", "id": "v", "status": "draft", "compose": {"include": [{"system": "http://x"}]}},
    bundle(post(patient(), URN + "1"), post(observation(URN + "1"), URN + "2"), type_="collection"),
]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place inside a JSON value but the whole."""
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield (*path, key)
            yield from places(inner, (*path, key))


def mutated(draw: st.DrawFn, original: Any, most: int = 3) -> Any:
    """A copy with some places replaced, dropped, wrapped, doubled or swapped."""
    value = json.loads(json.dumps(original))
    for _ in range(draw(st.integers(0, most))):
        found = list(places(value))
        if not found:
            break
        path = draw(st.sampled_from(found))
        holder = value
        for key in path[:-1]:
            holder = holder[key]
        last = path[-1]
        match draw(st.sampled_from(["replace", "text", "drop", "wrap", "double", "add", "other"])):
            case "replace":
                holder[last] = draw(JSON)
            case "text":
                holder[last] = draw(TEXTS)
            case "drop":
                del holder[last]
            case "wrap":
                holder[last] = [holder[last]]
            case "double" if isinstance(holder, list):
                holder.insert(0, holder[last])
            case "add" if isinstance(holder, dict):
                holder[
                    draw(
                        st.sampled_from(
                            ["id", "extension", "meta", "contained", "_id", "reference", "x", "resourceType"]
                        )
                    )
                ] = draw(JSON)
            case _:
                other = draw(st.sampled_from(found))
                holder[last] = json.loads(json.dumps(_at(value, other)))
    return value


def _at(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


@st.composite
def files(draw: st.DrawFn) -> bytes:
    """A picture or something that pretends to be one, with some bytes changed, added or cut off."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr("a.png", b"x")
    content = bytearray(
        draw(
            st.sampled_from(
                [
                    pictures.encoded(pictures.ramp()),
                    pictures.encoded(pictures.ramp(), "JPEG"),
                    pictures.dicom(),
                    archive.getvalue(),
                    pictures.png(20_000, 20_000, b""),
                    pictures.png(8, 8, b"x"),
                    b"GIF89a",
                    b"<svg/>",
                    b"",
                    b"\x00" * 128 + b"DICM",
                ]
            )
        )
    )
    for _ in range(draw(st.integers(0, 4))):
        if content:
            content[draw(st.integers(0, len(content) - 1))] = draw(st.integers(0, 255))
    if draw(st.booleans()):
        del content[draw(st.integers(0, len(content))) :]
    return bytes(content)

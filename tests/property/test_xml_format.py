"""The law of the two formats, parse(dump(resource)) == resource: https://hl7.org/fhir/R4/xml.html

Over every official example, and over resources drawn from the definitions, valid or not.
"""

from __future__ import annotations

import os
import tarfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from hie.fhir import facts, json_format, xml_format
from hie.fhir.xml_format.tables import Kind, Slot, table

SHARED = Path(os.environ.get("HIE_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
EXAMPLES = SHARED / "definitions" / "r4-examples.tar.xz"
#: Every nth example, so that the suite stays short; all of them: XML_EXAMPLES=1
EVERY = int(os.environ.get("XML_EXAMPLES", "6"))


@pytest.mark.skipif(not EXAMPLES.exists(), reason=f"the official examples are not at {EXAMPLES}")
def test_every_official_example_is_the_same_after_xml() -> None:
    judged = 0
    with tarfile.open(EXAMPLES) as archive:
        for number, member in enumerate(archive):
            file = archive.extractfile(member) if number % EVERY == 0 else None
            resource = json_format.parse(file.read()) if file is not None and member.name.endswith(".json") else {}
            if "resourceType" in resource:
                again = xml_format.parse(xml_format.dump(resource, pretty=bool(judged % 2)))
                assert _written(again) == _written(resource), member.name
                judged += 1
    assert judged * EVERY >= 2_900 - EVERY


def _written(value: Any) -> Any:
    """The value with its numbers as they are written, so that 1.0 is not 1.00."""
    if isinstance(value, dict):
        return {name: _written(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_written(one) for one in value]
    return (type(value).__name__, str(value)) if isinstance(value, bool | int | json_format.JsonDecimal) else value


TEXTS = st.one_of(
    st.sampled_from(["a", " a ", "\t\r\n", 'a"b\'c', "<&>]]>", "&amp;", "\u0085\u2028\u00a0", "\U0001f600", "x" * 300]),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters=[*map(chr, [*range(32), 0xFFFE, 0xFFFF])])),
)  # fmt: skip
NUMBERS = st.sampled_from(["0", "-1", "1.0", "1.00", "-0.0", "1e3", "1E-7", "0.000001", "123456789012345678.90"])
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "_boolean": st.booleans(),
    "_integer": st.integers(-(2**31), 2**31),
    "_unsigned": st.integers(0, 2**31),
    "_decimal": NUMBERS.map(json_format.number),
}
DIVS = st.sampled_from(
    [
        '<div xmlns="http://www.w3.org/1999/xhtml">a &lt; b\n<p class="x">\u00a0<br/>é</p> </div>',
        "<div  xmlns='http://www.w3.org/1999/xhtml'\n xml:lang='de'><!-- & --><p>&#160;<![CDATA[&]]></p></div >",
    ]
)


@st.composite
def objects(draw: st.DrawFn, path: str, depth: int) -> dict[str, Any]:
    """Some elements of a type, in any order."""
    content = table(path)
    slots = _one_of_each_choice(draw(st.permutations(sorted(content.slots))), content.slots)
    value: dict[str, Any] = {name: draw(TEXTS) for name in sorted(content.attributes) if draw(st.booleans())}
    for slot in slots[: draw(st.integers(1, 4))]:
        if slot.kind is Kind.PRIMITIVE:
            value |= draw(_primitives(slot, depth))
        elif slot.kind is Kind.XHTML:
            value[slot.name] = draw(DIVS)
        elif depth > 0:
            inner = _resources(depth - 1) if slot.kind is Kind.RESOURCE else objects(slot.path, depth - 1)
            value[slot.name] = draw(st.lists(inner, min_size=1, max_size=2) if slot.is_list else inner)
    return value


def _one_of_each_choice(names: list[str], slots: dict[str, Slot]) -> list[Slot]:
    return list({slots[name].order: slots[name] for name in names}.values())


@st.composite
def _primitives(draw: st.DrawFn, slot: Slot, depth: int) -> dict[str, Any]:
    one = VALUES.get(slot.value.__name__, TEXTS)
    extra = st.fixed_dictionaries({"id": TEXTS}) if depth < 1 else objects("Element", depth - 1).filter(bool)
    if not slot.is_list:
        return draw(st.sampled_from([{slot.name: draw(one)}, {slot.name: draw(one), "_" + slot.name: draw(extra)},
                                     {"_" + slot.name: draw(extra)}]))
    rows = draw(st.lists(st.sampled_from([(True, False), (True, True), (False, True)]), min_size=1, max_size=3))
    found: dict[str, Any] = {}
    if any(has_value for has_value, _ in rows):
        found[slot.name] = [draw(one) if has_value else None for has_value, _ in rows]
    if any(has_extra for _, has_extra in rows):
        found["_" + slot.name] = [draw(extra) if has_extra else None for _, has_extra in rows]
    return found


@cache
def _resources(depth: int) -> st.SearchStrategy[dict[str, Any]]:
    types = st.sampled_from(sorted(facts.RESOURCE_TYPES))
    return types.flatmap(lambda name: objects(name, depth).map(lambda value: {"resourceType": name, **value}))


@examples(max_examples=50, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(_resources(3), st.booleans())
def test_any_resource_is_the_same_after_xml(resource: dict[str, Any], pretty: bool) -> None:
    again = xml_format.parse(xml_format.dump(resource, pretty=pretty))
    assert _written(again) == _written(resource)


@examples(max_examples=300, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_any_change_of_a_document_is_read_or_refused(data: st.DataObject) -> None:
    text = bytearray(xml_format.dump(json_format.parse(
        b'{"resourceType":"Patient","id":"a","text":{"status":"generated","div":"<div xmlns=\\"http://www.w3.org/1999/'
        b'xhtml\\">a<br/></div>"},"contained":[{"resourceType":"Basic"}],"name":[{"given":["b"],"_given":[{"id":"c"}]}],'
        b'"active":true,"multipleBirthInteger":2}')))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text) - 1))
        text[at : at + data.draw(st.integers(0, 4))] = data.draw(
            st.sampled_from([b"", b"<", b">", b"/>", b'"', b"&", b"&#0;", b"\x00", b"\xff", b"<!DOCTYPE a>", b"<?p?>"])
        )
    try:
        found = xml_format.parse(bytes(text))["resourceType"]
    except xml_format.XmlError as refused:
        found = refused.line
    assert found is not None

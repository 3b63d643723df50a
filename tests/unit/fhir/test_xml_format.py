"""FHIR XML, read and written: https://hl7.org/fhir/R4/xml.html"""

from __future__ import annotations

from typing import Any

import pytest

from hie.fhir import json_format
from hie.fhir.xml_format import XmlError, dump, parse

NS = b' xmlns="http://hl7.org/fhir"'
XHTML = "http://www.w3.org/1999/xhtml"
DIV = f'<div xmlns="{XHTML}">'
P = b"<Patient" + NS
OQ = b"<Observation" + NS + b"><valueQuantity>"
D = DIV.encode()
STATUS = b'<status value="generated"/>'


def of_patient(content: bytes, attributes: bytes = b"") -> dict[str, Any]:
    """Read a Patient with this content; without its resourceType."""
    read = parse(b"<Patient" + NS + attributes + b">" + content + b"</Patient>")
    assert read.pop("resourceType") == "Patient"
    return read


SAME = {
    "primitives": (b'<id value="a"/><active value="false"/><birthDate value="2020"/>',
                   {"id": "a", "active": False, "birthDate": "2020"}),
    "choice": (b'<multipleBirthInteger value="2"/>', {"multipleBirthInteger": 2}),
    "lists": (b'<name><family value="a"/><given value="b"/><given value="c"/></name><name><text value="d"/></name>',
              {"name": [{"family": "a", "given": ["b", "c"]}, {"text": "d"}]}),
    "element ids": (b'<name id="n"><family value="a"/></name>', {"name": [{"id": "n", "family": "a"}]}),
    "extension": (b'<extension id="e" url="http://x"><valueCode value="a"/></extension>',
                  {"extension": [{"id": "e", "url": "http://x", "valueCode": "a"}]}),
    "primitive with id and extension": (
        b'<birthDate id="b" value="1970-03-30"><extension url="x"><valueString value="e"/></extension></birthDate>',
        {"birthDate": "1970-03-30", "_birthDate": {"id": "b", "extension": [{"url": "x", "valueString": "e"}]}}),
    "primitive without a value": (b'<birthDate><extension url="x"><valueCode value="u"/></extension></birthDate>',
                                  {"_birthDate": {"extension": [{"url": "x", "valueCode": "u"}]}}),
    "list with gaps": (b'<name><given value="a"/><given id="i"/><given value="c"/><given id="j" value="d"/></name>',
                       {"name": [{"given": ["a", None, "c", "d"], "_given": [None, {"id": "i"}, None, {"id": "j"}]}]}),
    "list without values": (b'<name><given id="i"/></name>', {"name": [{"_given": [{"id": "i"}]}]}),
    "contained": (b'<contained><Organization><id value="o"/></Organization></contained><contained><Basic/></contained>',
                  {"contained": [{"resourceType": "Organization", "id": "o"}, {"resourceType": "Basic"}]}),
    "white space": (b'<name><text value="a&#10;b&#9;c&#13; d "/></name>', {"name": [{"text": "a\nb\tc\r d "}]}),
    "characters": ('<name><text value="&lt;&amp;&gt;&quot;\'é\U0001f600\u0085\u00a0"/></name>'.encode(),
                   {"name": [{"text": "<&>\"'é\U0001f600\u0085\u00a0"}]}),
    "narrative": (f'<text><status value="generated"/>{DIV}a &amp; b&#160;<br/>\n <b> </b></div></text>'.encode(),
                  {"text": {"status": "generated", "div": f'{DIV}a &amp; b&#160;<br/>\n <b> </b></div>'}}),
}  # fmt: skip


@pytest.mark.parametrize(("content", "expected"), SAME.values(), ids=SAME)
def test_xml_and_json_say_the_same(content: bytes, expected: dict[str, Any]) -> None:
    assert of_patient(content) == expected
    assert dump({"resourceType": "Patient", **expected}).endswith(b"<Patient" + NS + b">" + content + b"</Patient>")


@pytest.mark.parametrize("text", ["1", "1.0", "1.00", "-0.0", "1e3", "1E-7", "0.00000000000000000001", "9" * 25])
def test_decimals_keep_every_digit(text: str) -> None:
    read = parse(OQ + f'<value value="{text}"/></valueQuantity></Observation>'.encode())
    assert str(read["valueQuantity"]["value"]) == text
    assert type(read["valueQuantity"]["value"]) is type(json_format.parse(text.encode()))
    assert f'<value value="{text}"/>'.encode() in dump(read)


def test_backbone_elements_defined_elsewhere_and_resources_in_entries_and_parameters_are_found() -> None:
    inner = {"resourceType": "Questionnaire", "item": [{"linkId": "1", "item": [{"linkId": "1.1", "required": True}]}]}
    entry = {"link": [{"relation": "self", "url": "x"}], "resource": inner, "response": {"outcome": {
        "resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "invalid"}]}}}
    part = {"name": "p", "part": [{"name": "q", "resource": {"resourceType": "Bundle", "entry": [entry]}}]}
    resource = {"resourceType": "Parameters", "parameter": [part]}
    assert parse(dump(resource)) == resource
    assert parse(dump(resource, pretty=True)) == resource


def test_elements_are_written_in_the_order_of_their_definitions() -> None:
    text = dump({"resourceType": "Patient", "_active": {"id": "x"}, "gender": "male", "name": [{"given": ["b"],
                 "family": "a"}], "active": True, "id": "1", "meta": {"versionId": "1"}})
    order = [b"<id ", b"<meta>", b"<active ", b"<name>", b"<family", b"<given", b"<gender"]
    assert sorted(order, key=text.index) == order
    assert b'<active id="x" value="true"/>' in text


@pytest.mark.parametrize("pretty", [False, True])
def test_a_long_resource_in_a_bundle_is_written_as_by_itself(pretty: bool) -> None:
    """Its parts are put together once it is written; nested ones again with what they stand in."""
    long: dict[str, Any] = {"resourceType": "Basic", "extension": [
        {"url": f"urn:{number}", "valueString": "x"} for number in range(1_500)]}
    inner = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": long}, {"resource": long}]}
    whole = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": inner}, {"resource": long}]}
    written = dump(whole, pretty=pretty)
    assert parse(written) == whole
    plain = dump(long, pretty=pretty).decode().partition("<Basic")[2].partition(">")[2].rpartition("</Basic>")[0]
    lines = [one.strip() for one in plain.split("\n")]
    assert [one.strip() for one in written.decode().split("\n")].count('<extension url="urn:7">') == 3 * pretty
    assert pretty or written.decode().count("".join(lines)) == 3


def test_comments_processing_instructions_and_hints_of_schemas_are_ignored() -> None:
    hint = b' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="http://hl7.org/fhir x.xsd"'
    assert of_patient(b'<!-- a --><?b c?>\n<id value="a"><!-- d --></id>', hint) == {"id": "a"}
    entries = b"<entry><resource><Basic" + hint + b"/></resource></entry>"
    assert len(parse(b"<Bundle" + NS + b">" + entries * 500 + b"</Bundle>")["entry"]) == 500
    document = (b'\xef\xbb\xbf<?xml version="1.0" encoding="utf-8" standalone="yes"?><?a b?>'
                b'<f:Patient xmlns:f="http://hl7.org/fhir"><f:id value="a"/></f:Patient><!-- c -->')
    assert parse(document) == {"resourceType": "Patient", "id": "a"}


@pytest.mark.parametrize(
    "text",
    [
        f'<f:Patient xmlns:f="http://hl7.org/fhir" xmlns="{XHTML}"><f:text><f:status value="generated"/>'
        '<div class="a">b&amp;<br/><p xml:lang="de">"c"</p><p/></div></f:text></f:Patient>',
        f'<Patient xmlns="http://hl7.org/fhir" xmlns:h="{XHTML}"><text><status value="generated"/>'
        '<h:div class="a">b&amp;<h:br/><h:p xml:lang="de">"c"</h:p><h:p/></h:div></text></Patient>',
        f'<f:Patient xmlns:f="http://hl7.org/fhir" xmlns="{XHTML}"><f:text><f:status value="generated"/>'
        '<div class=" xmlns = a">b&amp;<br/><p xml:lang="de">"c"</p><p/></div></f:text></f:Patient>',
    ],
    ids=["inherited", "prefix", "inherited, named in a text"],
)
def test_a_narrative_whose_namespace_stands_elsewhere_is_written_anew(text: str) -> None:
    name = " xmlns = a" if " xmlns = a" in text else "a"
    div = f'<div xmlns="{XHTML}" class="{name}">b&amp;<br/><p xml:lang="de">"c"</p><p></p></div>'
    assert parse(text.encode())["text"]["div"] == div


@pytest.mark.parametrize("div", [
    f'<div xmlns="{XHTML}"/>', f'<div title="/>" xmlns="{XHTML}"></div>', f'<div xmlns="{XHTML}"><!-- /></ --></div>',
    f'<div title=" xmlns=" xmlns = "{XHTML}" ><br/></div>',
    f'<div xmlns="{XHTML}" xmlns:a="urn:b"><p xmlns:c="d"/>e</div>',
])  # fmt: skip
def test_a_narrative_is_kept_as_it_was_written_where_it_ends(div: str) -> None:
    assert of_patient(f'<text><status value="generated"/>{div}</text>'.encode()) == {
        "text": {"status": "generated", "div": div}}


def test_one_namespace_may_be_declared_in_every_entry() -> None:
    div = f'<div xmlns="{XHTML}" xmlns:a="urn:b">c</div>'.encode()
    entry = b'<entry><resource><Basic><text><status value="generated"/>' + div + b"</text></Basic></resource></entry>"
    entries = parse(b"<Bundle" + NS + b">" + entry * 500 + b"</Bundle>")["entry"]
    assert {one["resource"]["text"]["div"] for one in entries} == {div.decode()}


def test_named_characters_of_html_become_numbers() -> None:
    text = f"{DIV}a&nbsp;b &eacute;&lt; <![CDATA[&nbsp;]]><!-- &nbsp; --></div>"
    written = dump({"resourceType": "Patient", "text": {"status": "generated", "div": text}})
    assert b"a&#160;b &#233;&lt; <![CDATA[&nbsp;]]><!-- &nbsp; --></div>" in written
    assert parse(written)["text"]["status"] == "generated"


REFUSED = {
    "no XML": (b"{}", "not XML", None),
    "cut": (P + b'><id value="a"/>', "not XML", "Patient"),
    "no namespace": (b"<Patient/>", "in no namespace", None),
    "other namespace": (b'<Patient xmlns="urn:hl7-org:v3"/>', "urn:hl7-org:v3", None),
    "no type": (b"<Pacient" + NS + b"/>", "nearest is Patient", None),
    "unknown element": (P + b'><contact><nam/></contact></Patient>', "nearest is name", "Patient.contact[0]"),
    "foreign element": (P + b'><x xmlns="urn:x"/></Patient>', "urn:x", "Patient"),
    "order": (P + b'><active value="true"/><id value="a"/></Patient>', "belongs before", "Patient.id"),
    "interleaved": (P + b"><name/><telecom/><name/></Patient>", "belongs before", "Patient.name"),
    "twice": (P + b'><active value="true"/><active value="true"/></Patient>', "twice", "Patient.active"),
    "two of a choice": (P + b'><deceasedBoolean value="true"/><deceasedDateTime value="2020"/></Patient>',
                        "twice", "Patient.deceased"),
    "attribute": (P + b'><active value="true" x="1"/></Patient>', "attribute x", "Patient.active"),
    "attribute of a type": (P + b'><name value="a"/></Patient>', "attribute value", "Patient.name[0]"),
    "attribute of a resource": (P + b' id="a"/>', "attribute id", None),
    "text": (P + b"><active>true</active></Patient>", "Text (true)", "Patient.active"),
    "boolean value": (P + b'><active value="yes"/></Patient>', "true or false", "Patient.active"),
    "integer": (P + b'><multipleBirthInteger value="1.0"/></Patient>', "whole", "Patient.multipleBirth"),
    "sign of zero": (P + b'><multipleBirthInteger value="-0"/></Patient>', "whole", "Patient.multipleBirth"),
    "plus of an unsignedInt": (b"<Bundle" + NS + b'><total value="+1"/></Bundle>', "sign", "Bundle.total"),
    "decimal": (OQ + b'<value value="1,5"/></valueQuantity></Observation>', "decimal",
                "Observation.value.value"),
    "absurd decimal": (OQ + b'<value value="1e9999999"/></valueQuantity></Observation>',
                       "decimal", "Observation.value.value"),
    "no resource": (P + b"><contained/></Patient>", "a resource is expected", "Patient.contained[0]"),
    "two resources": (P + b"><contained><Basic/><Basic/></contained></Patient>", "second",
                      "Patient.contained[0]"),
    "nested place": (b"<Bundle" + NS + b'><entry/><entry><resource><Patient><active value="x"/></Patient></resource>'
                     b"</entry></Bundle>", "true or false", "Bundle.entry[1].resource.active"),
    "div in FHIR": (P + b"><text>" + STATUS + b"<div/></text></Patient>", "belongs in", "Patient.text"),
    "FHIR in a div": (P + b"><text>" + STATUS + D + b"<p" + NS + b"/></div></text></Patient>",
                      "not in the namespace", "Patient.text"),
    "HTML entity": (P + b"><text>" + STATUS + D + b"&nbsp;</div></text></Patient>",
                    "undefined entity", "Patient.text"),
    "doctype": (b"<!DOCTYPE Patient><Patient" + NS + b"/>", "document type", None),
    "entity bomb": (b'<!DOCTYPE l [<!ENTITY a "aaa"><!ENTITY b "&a;&a;&a;">]>' + P + b'><id value="&b;"/></Patient>',
                    "document type", None),
    "external entity": (b'<!DOCTYPE l [<!ENTITY a SYSTEM "file:///etc/passwd">]><Patient' + NS + b"/>", "document type",
                        None),
    "encoding": (b'<?xml version="1.0" encoding="iso-8859-1"?><Patient' + NS + b"/>", "UTF-8", None),
    "UTF-16": ('<Patient xmlns="http://hl7.org/fhir"/>'.encode("utf-16"), "UTF-16", None),
    "bytes": (P + b'>\xff</Patient>', "UTF-8", None),
    "NUL": (P + b'><id value="\x00"/></Patient>', "not XML", "Patient"),
    "reference to NUL": (P + b'><id value="&#0;"/></Patient>', "not XML", "Patient"),
    "XML 1.1": (b'<?xml version="1.1"?><Patient' + NS + b"/>", "XML 1.0", None),
    "deep": (P + b">" + b'<extension url="a">' * 100_000, "nested deeper than 64", None),
    "deep div": (P + b"><text>" + STATUS + D + b"<b>" * 100_000, "nested deeper than 100", None),
    "attributes": (P + b"".join(b' a%d=""' % n for n in range(100_000)) + b"/>", "64 attributes", None),
    "namespaces": (P + b">" + b"".join(b'<name xmlns:a%d="b"/>' % n for n in range(200)) + b"</Patient>",
                   "100 namespaces", None),
}  # fmt: skip


#: Of these nothing can be told but that.
NO_XML = {"no XML", "cut", "no namespace", "other namespace", "no type", "HTML entity", "doctype",
          "entity bomb", "external entity", "encoding", "UTF-16", "bytes", "NUL", "reference to NUL", "XML 1.1", "deep",
          "deep div", "attributes", "namespaces"}


@pytest.mark.parametrize(("document", "text", "expression"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_fhir_xml_is_refused_naming_the_place(document: bytes, text: str, expression: str | None) -> None:
    with pytest.raises(XmlError) as caught:
        parse(document)
    assert text in caught.value.message
    assert caught.value.line is not None
    assert expression is None or caught.value.expression == expression


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_xml_and_no_fhir_is_told_beside_what_is(name: str) -> None:
    """The first mistake is the one that others are refused for; what is no XML, or without a type, is refused here too.
    """
    document = REFUSED[name][0]
    with pytest.raises(XmlError) as caught:
        parse(document)
    wrong: list[XmlError] = []
    if name in NO_XML:
        with pytest.raises(XmlError) as refused:
            parse(document, wrong=wrong)
        assert str(refused.value) == str(caught.value)
    else:
        assert set(parse(document, wrong=wrong)) >= {"resourceType"}
        assert [(str(one), one.expression) for one in wrong[:1]] == [(str(caught.value), caught.value.expression)]


def test_all_that_is_no_fhir_is_left_out_and_the_rest_is_read() -> None:
    wrong: list[XmlError] = []
    read = parse(P + b' x="1"><y><z>a<name/></z></y><contained><Foo><id/></Foo></contained>'
                 b'<contained><Basic/></contained><name a="1"><family value="A"/><family value="B"/>text'
                 b'<given value="G"/></name><gender value="male"/>'
                 b'<active value="maybe"/><birthDate value="2000"/><deceasedBoolean value="false"/>'
                 b'<deceasedBoolean value="true"/><multipleBirthInteger value="x"/></Patient>', wrong=wrong)
    assert read == {"resourceType": "Patient", "contained": [{"resourceType": "Basic"}], "gender": "male",
                    "name": [{"family": "A", "given": ["G"]}], "birthDate": "2000", "deceasedBoolean": False}
    assert [one.expression for one in wrong] == [
        "Patient", "Patient", "Patient.contained[0]", "Patient.name[0]", "Patient.name[0].family", "Patient.name[0]",
        "Patient.active", "Patient.active", "Patient.deceased", "Patient.multipleBirth"]
    wrong.clear()
    read = parse(P + b">" + b"<x><x/></x>" * 1_000 + b'<gender value="male"/></Patient>', wrong=wrong)
    assert (read["gender"], len(wrong)) == ("male", 100)


def test_the_line_of_an_error_is_told() -> None:
    with pytest.raises(XmlError) as caught:
        parse(P + b'>\n  <active value="true"/>\n    <id value="a"/>\n</Patient>')
    assert (caught.value.line, caught.value.column) == (3, 5)
    assert str(caught.value).endswith("Line 3, column 5.")


def test_characters_that_xml_does_not_know_are_replaced() -> None:
    assert 'value="a\ufffdb"/>'.encode() in dump({"resourceType": "Basic", "author": {"display": "a\uffffb"}})


@pytest.mark.parametrize(
    ("resource", "text"),
    [
        ({"name": [{"family": "\x07"}]}, "character"),
        ({"nam": "x"}, "not valid"),
        ({"name": {"family": "x"}}, "not valid"),
        ({"name": ["x"]}, "not valid"),
        ({"active": {}}, "not valid"),
        ({"text": {"div": f"{DIV}a</div><status/>"}}, "no XHTML"),
        ({"text": {"div": "<div>a</div>"}}, "no XHTML"),
    ],
)
def test_what_xml_cannot_hold_is_not_written(resource: dict[str, Any], text: str) -> None:
    with pytest.raises(XmlError) as caught:
        dump({"resourceType": "Patient", **resource})
    assert text in caught.value.message

"""XML Patch: https://www.rfc-editor.org/rfc/rfc5261, https://hl7.org/fhir/R4/http.html#patch"""

from typing import Any

import pytest

from hie.errors import Conflict, FhirError, InvalidRequest, InvalidXml, TooCostly, Unprocessable
from hie.fhir import json_format, patching, xml_format
from hie.fhir.fhirpath import Allowance
from hie.fhir.patching import bounds, xml_document, xml_form

F = 'xmlns:f="http://hl7.org/fhir" xmlns:h="http://www.w3.org/1999/xhtml"'
DIV = ('<div xmlns="http://www.w3.org/1999/xhtml"><p title="a">One &amp;  two</p>\n<!-- note -->'
       "<p>Three&nbsp;é<br/></p>\n</div>")  # fmt: skip
PATIENT = (
    '{"resourceType":"Patient","id":"1","meta":{"tag":[{"system":"urn:t","code":"x"}]},"text":'
    '{"status":"additional","div":'
    + json_format.dump(DIV).decode()
    + '},"contained":[{"resourceType":"Practitioner","id":"d","name":[{"family":"Doc"}]}],'
    '"name":[{"use":"official","family":"Smith","given":["Anna","Bea"]},{"use":"usual","family":"Smit"}],'
    '"identifier":[{"system":"urn:a","value":"1"},{"system":"urn:b","value":"1"}],"active":true,'
    '"extension":[{"url":"urn:e","valueDecimal":1.50}],"birthDate":"1970-01-01","_birthDate":{"id":"b"}}'
)


def diff(*operations: str, root: str = f"diff {F}") -> bytes:
    return f"<?xml version='1.0' encoding='UTF-8'?>\n<{root}>{''.join(operations)}</{root.split()[0]}>".encode()


def patched(*operations: str, document: str = PATIENT, root: str = f"diff {F}", **more: Any) -> Any:
    read = patching.read(patching.XML_PATCH, diff(*operations, root=root))
    kept = json_format.parse(json_format.dump(read))  # as a request is kept that is answered later
    assert kept == read
    return patching.parse(patching.XML_PATCH, read).applied(json_format.parse(document.encode()), **more)


def replace(sel: str, content: str) -> str:
    return f"<replace sel=\"{sel}\">{content}</replace>"


def add(sel: str, content: str, more: str = "") -> str:
    return f"<add sel=\"{sel}\" {more}>{content}</add>"


def remove(sel: str, more: str = "") -> str:
    return f"<remove sel=\"{sel}\" {more}/>"


NAME, P = "f:Patient/f:name", "f:Patient/f:text/h:div/h:p"
NAME_OF_TWO = '{"family":"a","text":"b"}'
FAMILY = '<f:name><f:family value="{}"/></f:name>'
#: operations -> where in the JSON of the result, and what stands there
APPLIED: dict[str, tuple[list[str], str, Any]] = {
    "replace a value": ([replace("f:Patient/f:active/@value", "false")], "active", False),
    "from the root": ([replace("/f:Patient/f:active/@value", "false")], "active", False),
    "any name": ([replace("*/*[@value='true']/@value", "false")], "active", False),
    "any name of a namespace": ([replace("f:*/f:active/@*", "false")], "active", False),
    "replace an element": ([replace("f:Patient/f:active", ' <f:active value="false"/> ')], "active", False),
    "an id beside a value": ([replace("f:Patient/f:birthDate/@id", "c")], "_birthDate", {"id": "c"}),
    "by position": ([replace(f"{NAME}[2]/f:family/@value", "New")], "name.1.family", "New"),
    "the last": ([replace(f"{NAME}[last()]/f:family/@value", "New")], "name.1.family", "New"),
    "by another position": ([replace(f"{NAME}[position()=1]/f:given[2]/@value", "C")], "name.0.given", ["Anna", "C"]),
    "by a child's value": ([replace(f"{NAME}[f:use/@value='usual']/f:family/@value", "New")], "name.1.family", "New"),
    "by what is not": ([replace(f"{NAME}[not(f:given) or f:use/@value='x']/f:family/@value", "N")],
                       "name.1.family", "N"),
    "by several conditions": (
        [replace("f:Patient/f:identifier[f:system/@value='urn:b'][f:value/@value='1']/f:value/@value", "2"),
         replace("f:Patient/f:identifier[f:system/@value!='urn:b' and (f:value/@value=1)]/f:value/@value", "3")],
        "identifier", [{"system": "urn:a", "value": "3"}, {"system": "urn:b", "value": "2"}]),
    "an attribute of an extension": ([replace("f:Patient/f:extension[@url='urn:e']/f:valueDecimal/@value", "2.00")],
                                     "extension", [{"url": "urn:e", "valueDecimal": 2}]),
    "what is contained": ([replace("f:Patient/f:contained/f:Practitioner/f:name/f:family/@value", "N")],
                          "contained.0.name", [{"family": "N"}]),
    "append": ([add("f:Patient", FAMILY.format("New"))], "name.2", {"family": "New"}),
    "append goes where its name belongs": ([add("f:Patient", '<f:gender value="male"/>')], "gender", "male"),
    "prepend": ([add("f:Patient", FAMILY.format("New"), 'pos="prepend"')], "name.0", {"family": "New"}),
    "before": ([add(f"{NAME}[2]", FAMILY.format("A") + "\n  " + FAMILY.format("B"), 'pos="before"')], "name",
               [{"use": "official", "family": "Smith", "given": ["Anna", "Bea"]}, {"family": "A"}, {"family": "B"},
                {"use": "usual", "family": "Smit"}]),
    "after": ([add(f"{NAME}[1]", FAMILY.format("A"), 'pos="after"')], "name.1", {"family": "A"}),
    "add a value": ([add(f"{NAME}[2]", "<f:given/>"), add(f"{NAME}[2]/f:given", "Eve", 'type="@value"')],
                    "name.1.given", ["Eve"]),
    "add an id": ([add(f"{NAME}[2]", "n2", 'type="@id"')], "name.1.id", "n2"),
    "a namespace comes and goes": (
        [add("f:Patient", "urn:x", 'type="namespace::x"'), replace("f:Patient/namespace::x", "urn:y"),
         remove("f:Patient/namespace::x"), replace("f:Patient/f:active/@value", "false")], "active", False),
    "remove an element": ([remove(f"{NAME}[1]")], "name", [{"use": "usual", "family": "Smit"}]),
    "remove the last of them": ([remove(f"{NAME}[1]"), remove(NAME, 'ws="after"')], "name", None),
    "what becomes empty goes": ([remove(f"{NAME}[2]/f:use"), remove(f"{NAME}[2]/f:family/@value")], "name.1", None),
    "an extension of a primitive": ([add("f:Patient/f:active", '<f:extension url="urn:p"><f:valueCode value="c"/>'
                                                               "</f:extension>")],
                                    "_active", {"extension": [{"url": "urn:p", "valueCode": "c"}]}),
    "text of a narrative": ([replace(f"{P}[1]/text()", "New &lt; text")], "text.div",
                            DIV.replace("One &amp;  two", "New &lt; text").replace("&nbsp;", "\u00a0")),
    "an attribute of a narrative": ([add(f"{P}[@title='a']", "de", 'type="@xml:lang"')], "text.div",
                                    DIV.replace('title="a"', 'title="a" xml:lang="de"').replace("&nbsp;", "\u00a0")),
    "white space of a narrative": ([remove(f"{P}[2]", 'ws="after"'),
                                    remove("f:Patient/f:text/h:div/comment()", 'ws="before"')], "text.div",
                                   DIV[: DIV.index("\n")] + "</div>"),
    "a whole narrative": ([replace("f:Patient/f:text/h:div", "<h:div><h:p>x</h:p></h:div>")], "text.div",
                          '<div xmlns="http://www.w3.org/1999/xhtml"><p>x</p></div>'),
    "the whole resource": ([replace("f:Patient", '<f:Patient><f:id value="1"/></f:Patient>')], "", {
        "resourceType": "Patient", "id": "1"}),
}  # fmt: skip


@pytest.mark.parametrize(("operations", "where", "expected"), APPLIED.values(), ids=APPLIED.keys())
def test_operations_do_what_they_say(operations, where, expected):
    result = patched(*operations)
    found = result
    for step in where.split(".") if where else ():
        found = found.get(step) if isinstance(found, dict) else dict(enumerate(found)).get(int(step))
    assert found == expected
    xml_format.dump(result)


def test_what_no_operation_touches_stays_as_it_was_written():
    before = json_format.parse(PATIENT.encode())
    assert patched() == before
    result = patched(replace("f:Patient/f:active/@value", "true"), replace(f"{NAME}[1]/f:use/@value", "official"))
    assert json_format.dump(result) == json_format.dump(before) == PATIENT.encode()


@pytest.mark.parametrize(("root", "prefix"), [
    ('diff xmlns="http://hl7.org/fhir"', ""), ('diff xmlns:fhir="http://hl7.org/fhir"', "fhir:"),
    ('patch xmlns="urn:ietf:rfc:7351" xmlns:x="http://hl7.org/fhir"', "x:"),
    ('p:patch xmlns:p="urn:ietf:rfc:7351" xmlns="http://hl7.org/fhir"', ""),
])  # fmt: skip
def test_names_are_in_the_namespaces_that_the_patch_declares(root, prefix):
    own = "p:" if root.startswith("p:") else ""
    text = f'<{own}replace sel="{prefix}Patient/{prefix}active/@value">false</{own}replace>'
    assert patched(text, root=root)["active"] is False
    content = f"<{prefix}name><{prefix}family value='N'/></{prefix}name>"
    assert patched(f'<{own}add sel="{prefix}Patient">{content}</{own}add>', root=root)["name"][2] == {"family": "N"}


CONFLICTS: dict[str, tuple[str, str]] = {
    "nothing": (remove("f:Patient/f:photo"), "leads to nothing"),
    "several": (remove(NAME), "leads to 2 places"),
    "no namespace": (remove("Patient/active"), "declare it in the patch"),
    "another resource": (remove("f:Person/f:active"), "leads to nothing"),
    "an attribute that is there": (add("f:Patient/f:active", "x", 'type="@value"'), "there is such attribute"),
    "beside the root": (add("f:Patient", FAMILY, 'pos="before"'), "the resource is the root"),
    "the root": (remove("f:Patient"), "cannot be taken away"),
    "no white space": (remove(f"{P}[1]", 'ws="before"'), "there is none"),
    "white space of an attribute": (remove("f:Patient/f:active/@value", 'ws="both"'), "ws is asked for"),
    "what was removed": (remove("f:Patient/f:active") + remove("f:Patient/f:active"), "Operation 1"),
}


@pytest.mark.parametrize(("operation", "told"), CONFLICTS.values(), ids=CONFLICTS.keys())
def test_what_does_not_fit_the_resource_is_a_conflict(operation, told):
    with pytest.raises(Conflict) as refused:
        patched(operation)
    assert told in refused.value.diagnostics
    assert "line 2) does not fit the resource" in refused.value.diagnostics


NO_PATCH: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "no body"),
    "no xml": (b"<diff>", "no element found"),
    "another root": (b"<patches/>", "The root is patches"),
    "a resource": (b'<Patient xmlns="http://hl7.org/fhir"/>', "The root is Patient"),
    "utf-16": ("<diff/>".encode("utf-16"), "UTF-16"),
    "xml 1.1": (b"<?xml version='1.1'?><diff/>", "XML 1.1"),
    "an entity": (b'<!DOCTYPE diff [<!ENTITY e SYSTEM "file:///etc/passwd">]><diff>&e;</diff>', "document type"),
    "an entity of a bomb": (b'<!DOCTYPE d [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]><diff/>', "document type"),
    "an unknown operation": (diff("<move sel='f:Patient'/>"), "Operation 0 is move"),
    "an operation of no kind": (diff("<f:x/>"), "Operation 0 is x"),
    "no sel": (diff("<remove/>"), "has no sel"),
    "another attribute": (diff("<remove sel='f:a' path='x'/>"), "the attribute path"),
    "another pos": (diff(add("f:a", "x", 'pos="first"')), "pos of operation 0"),
    "another ws": (diff("<remove sel='f:a' ws='all'/>"), "ws of operation 0"),
    "pos and type": (diff(add("f:a", "x", 'pos="after" type="@value"')), "both pos and type"),
    "text between": (diff("x"), "between operations"),
    "a long path": (diff(remove("f:a/" * 1000 + "f:a")), "longer than 2000"),
    "deep content": (diff(add("f:a", "<x>" * 200 + "</x>" * 200)), "nested deeper"),
    "attributes without end": (diff("<remove sel='f:a' " + " ".join(f"a{n}='{'x' * 60}'" for n in range(70)) + "/>"),
                               "more than 64 attributes"),
    "too many tags": (diff(add("f:a", "<x/>" * 100_001)), "more than 200000 tags"),
    "long paths together": (diff(remove("f:a/" * 450 + "f:a") * 167), "more than 300000 characters together"),
    "too many operations": (diff("<remove sel='f:a'/>" * 10_001), "more than 10000"),
}  # fmt: skip


@pytest.mark.parametrize(("document", "told"), NO_PATCH.values(), ids=NO_PATCH.keys())
def test_what_is_no_xml_patch_is_refused_as_it_is_read(document, told):
    with pytest.raises(InvalidRequest) as refused:
        patching.read(patching.XML_PATCH, document)
    assert told in refused.value.diagnostics
    assert "passwd" not in refused.value.diagnostics


WRONG: dict[str, tuple[str, str]] = {
    "every descendant": (remove("//f:active"), "step by step"),
    "deeper": (remove("f:Patient//f:active"), "step by step"),
    "back": (remove("f:Patient/f:active/.."), "'..'"),
    "two paths": (remove("f:Patient/f:active|f:Patient/f:name"), "one place"),
    "another axis": (remove("f:Patient/following::f:active"), "axis following::"),
    "a document": (remove("document('file:///etc/passwd')/a"), "calls document()"),
    "id()": (remove("id('b')"), "calls id()"),
    "another function": (remove(f"{NAME}[contains(f:family/@value, 'S')]"), "calls contains()"),
    "a variable": (remove("f:Patient/f:name[$x]"), "'$'"),
    "an unknown prefix": (remove("g:Patient"), "the prefix g"),
    "no step": (remove("/"), "ends where a step"),
    "an open condition": (remove("f:Patient[f:active"), "']' is expected"),
    "below an attribute": (remove("f:Patient/f:active/@value/f:x"), "below that there is nothing"),
    "deep conditions": (remove("f:a" + "[f:a" * 12 + "]" * 12), "nested deeper than 10"),
    "deep parentheses": (remove("f:a[" + "(" * 900 + "1" + ")" * 900 + "]"), "nested deeper than 10"),
    "removed content": ("<remove sel='f:Patient/f:active'>x</remove>", "sel alone"),
    "nothing added": (add("f:Patient", ""), "adds nothing"),
    "two for one": (replace("f:Patient/f:active", '<f:active value="true"/><f:active value="true"/>'), "one element"),
    "text for an element": (replace("f:Patient/f:active", "false"), "one element"),
    "an element for a value": (replace("f:Patient/f:active/@value", "<f:x/>"), "nothing but text"),
    "add to a value": (add("f:Patient/f:active/@value", "x"), "only an element"),
    "add beside a value": (add("f:Patient/f:active/@value", "x", 'pos="after"'), "no place among others"),
    "an attribute of a text": (add("f:Patient/text()", "x", 'type="@value"'), "only an element has any"),
    "another type": (add("f:Patient", "x", 'type="value"'), "it is @attribute"),
    "type with an unknown prefix": (add("f:Patient", "x", 'type="@q:value"'), "the prefix q"),
}  # fmt: skip


@pytest.mark.parametrize(("operation", "told"), WRONG.values(), ids=WRONG.keys())
def test_what_no_path_and_no_operation_can_be_is_refused(operation, told):
    with pytest.raises(InvalidRequest) as refused:
        patched(operation)
    assert told in refused.value.diagnostics
    assert "peration 0" in refused.value.diagnostics


INVALID: dict[str, tuple[str, str, str | None]] = {
    "an unknown element": (add("f:Patient", "<f:colour value='x'/>"), "no element colour", "Patient"),
    "in no namespace": (add("f:Patient", "<active value='true'/>"), "in no namespace", "Patient"),
    "twice": (add("f:Patient", "<f:active value='true'/>"), "does not repeat", "Patient.active"),
    "text among elements": (add("f:Patient", "true"), "Text (true)", "Patient"),
    "no boolean": (replace("f:Patient/f:active/@value", "yes"), "true or false", "Patient.active"),
    "an unknown attribute": (add("f:Patient/f:active", "x", 'type="@colour"'), "attribute colour", "Patient.active"),
    "another root": (replace("f:Patient", "<f:Person2/>"), "Person2", None),
    "an empty contained": (remove("f:Patient/f:contained/f:Practitioner"), "contained is empty", None),
    "an attribute of XHTML in FHIR": (add("f:Patient", "x", 'type="@h:a"'), "attribute a", None),
}


@pytest.mark.parametrize(("operation", "told", "place"), INVALID.values(), ids=INVALID.keys())
def test_what_comes_out_and_is_no_fhir_xml_cannot_be_processed(operation, told, place):
    with pytest.raises(Unprocessable) as refused:
        patched(operation)
    assert told in refused.value.diagnostics
    assert place in (None, refused.value.issues[0].expression)


def test_a_resource_that_xml_cannot_hold_is_not_patched_as_xml():
    with pytest.raises(Unprocessable, match="Send a JSON Patch"):
        patched(document='{"resourceType":"Patient","name":[{"family":"\\uffff"}]}')


def test_work_is_bounded(monkeypatch):
    names = ",".join('{"family":"n"}' for _ in range(300))
    document = f'{{"resourceType":"Patient","name":[{names}]}}'
    costly = remove(f"{NAME}[f:family/@value = 'x' or ../f:name]".replace("../f:name", "f:use"))
    monkeypatch.setattr(bounds, "MOST_LOOKED_AT", 2_000)
    with pytest.raises(TooCostly, match="Operation 0"):
        patched(costly, document=document)
    monkeypatch.setattr(bounds, "MOST_LOOKED_AT", 500_000)
    allowance = Allowance(10.0, 3_000)
    with pytest.raises(FhirError, match="in the transaction"):
        patched(*[replace(f"{NAME}[last()]/f:family/@value", "x")] * 10, document=document, allowance=allowance)
    squared = remove("f:Patient[f:name/f:family/@value != f:name/f:family/@value]/f:active")
    monkeypatch.setattr(bounds, "MOST_LOOKED_AT", 50_000)
    with pytest.raises(TooCostly):  # 300 values with 300
        patched(squared, document=document)


def test_prefixes_are_bounded_whatever_they_stand_for():
    """Each operation keeps those that are declared where it stands."""
    known = 'xmlns:{}="http://hl7.org/fhir"'
    many = [f'<remove sel="f:a" {" ".join(known.format(f"p{n}x{at}") for at in range(30))}/>' for n in range(4)]
    with pytest.raises(InvalidXml, match="More than 100 prefixes"):
        patching.read(patching.XML_PATCH, diff(*many))
    again = [f'<remove sel="f:a" {known.format("g")} xmlns:o="urn:o"/>' for _ in range(200)]
    last = patching.read(patching.XML_PATCH, diff(*again, remove("f:a")))[-1]
    assert last["namespaces"] == {"f": "http://hl7.org/fhir", "h": "http://www.w3.org/1999/xhtml"}


def test_no_xml_is_made_of_a_resource_of_too_many_values(monkeypatch):
    monkeypatch.setattr(xml_form, "MOST_VALUES", 20)
    few, many = (f'{{"resourceType":"Patient","name":[{",".join([NAME_OF_TWO] * count)}]}}' for count in (6, 7))
    assert len(patched(remove(f"{NAME}[1]"), document=few)["name"]) == 5
    with pytest.raises(TooCostly, match="more than 20 values"):
        patched(remove(f"{NAME}[1]"), document=many)
    div = "<div xmlns='http://www.w3.org/1999/xhtml'>{}</div>"
    tags = [f'{{"resourceType":"Patient","text":{{"div":"{div.format("<br/>" * count)}"}}}}' for count in (20, 1)]
    with pytest.raises(TooCostly, match="more than 20 values and tags of narratives"):
        patched(remove("f:Patient/f:text"), document=tags[0])
    assert "text" not in patched(remove("f:Patient/f:text"), document=tags[1])


def test_what_is_added_grows_no_deeper_than_its_bound():
    deep = "<h:b>" * 100 + "</h:b>" * 100
    path = "f:Patient/f:text/h:div"
    more = add(path + "/h:b" * 100, deep)
    with pytest.raises(Unprocessable, match=f"deeper than {xml_document.MAX_DEPTH}"):
        patched(add(path, deep), more)
    with pytest.raises(Unprocessable, match="deeper than 100"):  # as a narrative may be
        patched(add(path, deep))


def test_a_long_text_is_read_in_one_piece():
    text = "x" * 3_000_000
    (row,) = patching.read(patching.XML_PATCH, diff(add("f:Patient", text + "<!-- -->" + text)))
    assert [len(one) for one in row["content"] if isinstance(one, str)] == [3_000_000, 3_000_000]
    with pytest.raises(InvalidXml):
        patching.read(patching.XML_PATCH, b"<diff><add sel='a'>\x00</add></diff>")


def test_texts_that_come_to_stand_side_by_side_are_one():
    """XPath knows no two texts side by side: what is added, and what is left when something between them goes."""
    at = f"{P}[1]"
    texts = [add(at, "<h:b/>"), add(at, "end"), add(f"{at}/h:b", "new", 'pos="before"'), remove(f"{at}/h:b"),
             replace(f"{at}/text()", "one"), add(f"{at}/text()", "<h:i/>x", 'pos="after"'),
             replace(f"{at}/text()[2]", ""), remove(f"{at}/h:i"), add(f"{at}/text()", "!", 'pos="after"')]  # fmt: skip
    assert '<p title="a">one!</p>' in patched(*texts)["text"]["div"]


def test_a_text_that_grows_is_counted():
    with pytest.raises(TooCostly):
        patched(*[replace(f"{P}[1]/text()", "x" * 1_000_000), *[add(f"{P}[1]", "x")] * 1_000])

"""Every form of a token against every element that a token parameter looks at: https://hl7.org/fhir/R4/search.html#token"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

import pytest

from tests.builders import bundle, patient, put
from tests.conformance.conftest import Answer, Fhir

S, T = "urn:s", "urn:t"
KIND = {"coding": [{"system": S, "code": "MR"}], "text": "Medical record"}


def coded(id_: str, *codings: dict[str, str], text: str | None = None) -> dict[str, object]:
    """Return an Observation with codings in its value, the first of them as a tag; without any it is amended."""
    value = {**({"coding": list(codings)} if codings else {}), **({"text": text} if text else {})}
    return {
        "resourceType": "Observation", "id": id_, "status": "final" if value else "amended", "code": {"text": "any"},
        **({"meta": {"tag": [codings[0]]}} if codings else {}), **({"valueCodeableConcept": value} if value else {}),
    }  # fmt: skip


def identified(id_: str, **identifier: object) -> dict[str, object]:
    """Return an Encounter with an identifier, and a class with a system and no code; without any it is the reverse."""
    class_ = {"system": S, "display": "Ward"} if identifier else {"code": "AMB"}
    its = {"identifier": [identifier]} if identifier else {}
    return {"resourceType": "Encounter", "id": id_, "status": "finished", "class": class_, **its}


def reachable(id_: str, *telecom: dict[str, str]) -> dict[str, object]:
    """Return a Practitioner with contact points."""
    return {"resourceType": "Practitioner", "id": id_, **({"telecom": list(telecom)} if telecom else {})}


def subject_of(id_: str, reference: str | None, type_: str | None, **identifier: object) -> dict[str, object]:
    """Return a RiskAssessment about what is referred to, named by an identifier, or both."""
    said = {"reference": reference, "type": type_, "identifier": identifier or None}
    subject = {name: one for name, one in said.items() if one}
    return {"resourceType": "RiskAssessment", "id": id_, "status": "final", "subject": subject}


RECORDS = [
    coded("both", {"system": S, "code": "a", "display": "Alpha"}), coded("bare", {"code": "a"}),
    coded("other", {"system": T, "code": "a"}), coded("system", {"system": S}),
    coded("shown", {"system": S, "display": "Alphabet"}), coded("display", {"display": "Alphorn"}),
    coded("mixed", {"system": T, "code": "b"}, {"system": S, "display": "Beta"}), coded("text", text="Alpine"),
    coded("none"),
    identified("whole", system=S, value="a", type=KIND), identified("value", value="a"),
    identified("space", system=S), identified("kind", system=T, type={"text": "Medical paper"}), identified("empty"),
    patient("Smith", id="p", active=True, telecom=[{"system": "phone", "value": "555"}, {"use": "home"}]),
    patient("Jones", id="q", gender="male", deceasedBoolean=True, telecom=[{"system": "email"}]),
    reachable("phone", {"system": "phone", "value": "555", "use": "home"}, {"system": "email", "value": "a@b"}),
    reachable("fax", {"system": "fax", "value": "555"}, {"system": "phone", "value": "777"}),
    reachable("pager", {"system": "pager", "value": "555", "use": "work"}), reachable("valueless", {"system": "phone"}),
    reachable("nowhere"),
    subject_of("both", "Patient/p", None, system=S, value="a"),
    subject_of("logical", None, "Patient", system=S, value="a"),
    subject_of("untyped", None, None, system=S, value="a"), subject_of("group", None, "Group", system=S, value="a"),
    subject_of("members", "Group/g", None, system=S, value="a"), subject_of("bare", None, "Patient", value="a"),
    subject_of("other", None, "Patient", system=T, value="a"), subject_of("system", None, "Patient", system=S),
    subject_of("held", "Patient/p", None, system=S, type=KIND), subject_of("kind", None, "Patient", type=KIND),
    subject_of("named", "Patient/q", None),
    {"resourceType": "Group", "id": "g", "type": "person", "actual": True},
]
WITH_SYSTEM = ["both", "system", "shown", "mixed"]
VALUED = [*WITH_SYSTEM, "bare", "other", "display", "text"]
TAGGED_SYSTEM = ["both", "system", "shown"]
THOSE_WITH_PHONE = ["phone", "fax", "valueless"]
NAMED_BY_S = ["both", "logical", "untyped", "group", "members"]
OTHER_SUBJECTS = ["logical", "untyped", "group", "members", "bare", "other", "system", "kind", "named"]

#: Parameter -> value -> who is found, of those that the type has.
FOUND = {
    "Observation?value-concept": {
        "=a": ["both", "bare", "other"], f"={S}|a": ["both"], "=|a": ["bare"], f"={S}|": WITH_SYSTEM,
        f"={T}|": ["other", "mixed"], f"={S}|b": [], "=urn:none|": [], f"={S}|,|a": [*WITH_SYSTEM, "bare"],
        ":not=a": ["system", "shown", "display", "mixed", "text", "none"],
        f":not={S}|": ["bare", "other", "display", "text", "none"],
        ":missing=true": ["none"], ":missing=false": VALUED,
        ":text=alp": ["both", "shown", "display", "text"], ":text=alphabet": ["shown"], ":text=be": ["mixed"],
    },
    "Observation?_tag": {
        "=a": ["both", "bare", "other"], f"={S}|a": ["both"], "=|a": ["bare"], f"={S}|": TAGGED_SYSTEM,
        f":not={S}|": ["bare", "other", "display", "mixed", "text", "none"], ":missing=true": ["text", "none"],
    },
    "Observation?combo-value-concept": {f"={S}|": WITH_SYSTEM},
    "Observation?status": {
        "=amended": ["none"], "=http://hl7.org/fhir/observation-status|amended": ["none"], "=|amended": [],
        "=http://hl7.org/fhir/observation-status|": [*VALUED, "none"], f"={S}|": [], ":not=final": ["none"],
    },
    "Observation?_filter": {
        f'=value-concept eq "{S}|"': WITH_SYSTEM,
        f'=not (value-concept eq "{S}|")': ["bare", "other", "display", "text", "none"],
        "=_id pr true and status eq amended": ["none"], "=_id pr false": [], "=not (id pr true)": [],
        "=_lastUpdated pr true and status eq amended": ["none"], "=_lastUpdated pr false": [],
    },
    "Encounter?identifier": {
        "=a": ["whole", "value"], f"={S}|a": ["whole"], "=|a": ["value"], f"={S}|": ["whole", "space"],
        f"={T}|": ["kind"], f":not={S}|": ["value", "kind", "empty"], ":missing=true": ["empty"],
        ":missing=false": ["whole", "value", "space", "kind"], ":text=medical": ["whole", "kind"],
        ":text=medical p": ["kind"], f":of-type={S}|MR|a": ["whole"],
    },
    "Encounter?class": {
        f"={S}|": ["whole", "value", "space", "kind"], "=AMB": ["empty"], "=|AMB": ["empty"],
        ":text=war": ["whole", "value", "space", "kind"], ":missing=true": [],
    },
    "Patient?telecom": {
        "=555": ["p"], "=|555": ["p"], "=phone|555": ["p"], ":missing=false": ["p", "q"], ":not=555": ["q"],
        "=email|": ["q"],
    },
    "Practitioner?telecom": {
        "=555": ["phone", "fax", "pager"], "=|555": ["phone", "fax", "pager"], "=phone|555": ["phone"],
        "=fax|555": ["fax"], "=phone|777": ["fax"], "=phone|": ["phone", "fax", "valueless"], "=fax|": ["fax"],
        "=pager|555": ["pager"], "=sms|555": [], "=email|a@b,fax|555": ["phone", "fax"], ":missing=true": ["nowhere"],
        ":not=phone|555": ["fax", "pager", "valueless", "nowhere"], ":not=phone|": ["pager", "nowhere"],
    },
    "Practitioner?phone": {
        "=555": ["phone"], "=|777": ["fax"], "=phone|555": ["phone"], "=fax|555": [], "=phone|": THOSE_WITH_PHONE,
        "=fax|": [], ":missing=false": THOSE_WITH_PHONE, ":not=phone|555": ["fax", "pager", "valueless", "nowhere"],
    },
    "Practitioner?email": {"=a@b": ["phone"], "=email|a@b": ["phone"], "=phone|a@b": []},
    "Practitioner?_filter": {
        '=telecom eq "phone|555"': ["phone"], '=not (telecom eq "phone|555")': ["fax", "pager", "valueless", "nowhere"],
        '=telecom eq "|555" and phone pr true': ["phone", "fax"],
    },
    "RiskAssessment?subject:identifier": {
        "=a": ["both", "logical", "untyped", "group", "members", "bare", "other"], f"={S}|a": NAMED_BY_S,
        "=|a": ["bare"], f"={S}|": [*NAMED_BY_S, "system", "held"], f"={T}|": ["other"], "=urn:none|": [],
        f"={T}|,|a": ["other", "bare"],
    },
    "RiskAssessment?patient:identifier": {
        "=a": ["both", "logical", "untyped", "bare", "other"], f"={S}|a": ["both", "logical", "untyped"],
        "=|a": ["bare"], f"={S}|": ["both", "logical", "untyped", "system", "held"],
    },
    "RiskAssessment?subject": {":missing=true": [], "=Patient/p": ["both", "held"], ":not=Patient/p": OTHER_SUBJECTS},
    "RiskAssessment?patient": {
        ":missing=true": ["untyped", "group", "members", "kind"], "=p": ["both", "held"],
        ":not=Patient/p": OTHER_SUBJECTS,
    },
    "Patient?active": {
        "=true": ["p"], "=http://hl7.org/fhir/special-values|true": ["p"], "=|true": ["p"], f"={S}|true": [],
        ":not=true": ["q"], ":missing=true": ["q"],
    },
    "Patient?deceased": {"=http://hl7.org/fhir/special-values|true": ["q"], "=false": ["p"]},
    "Patient?gender": {"=male": ["q"], "=http://hl7.org/fhir/administrative-gender|male": ["q"], ":not=male": ["p"]},
}  # fmt: skip


@pytest.fixture
def stored(fhir: Fhir) -> Fhir:
    answer = fhir.post("", bundle(*map(put, RECORDS)))
    assert answer.status == 200, answer.content
    return fhir


def ids(answer: Answer) -> list[str]:
    assert answer.status == 200, answer.content
    return sorted(one["id"] for one in answer.resources())


@pytest.mark.proves("search:token", "modifier:token:not", "modifier:token:missing")
def test_a_token_finds_what_has_its_system_and_its_code_as_far_as_each_is_asked(stored: Fhir) -> None:
    for parameter, asked in FOUND.items():
        for value, expected in asked.items():
            search = quote(parameter + value, safe="?&=:|/,")
            assert ids(stored.get(search)) == sorted(expected), search
            counted = stored.get(f"{search}&_summary=count").json
            assert counted["total"] == len(expected), search


def test_what_has_a_system_alone_is_found_through_chains_inside_containers_and_as_of_then(
    stored: Fhir, client: Callable[..., Fhir], clean: Callable[[], bool]
) -> None:
    inside = coded("x", {"system": "urn:inside", "display": "Only here"}) | {"subject": {"reference": "Patient/p"}}
    report = {"resourceType": "DiagnosticReport", "id": "r", "status": "final", "code": {"coding": [{"system": S}]},
              "contained": [inside], "result": [{"reference": "#x"}, {"reference": "Observation/system"}]}
    told = stored.put("DiagnosticReport/r", report)
    assert told.status == 201, told.content
    assert ids(stored.get("DiagnosticReport?result.value-concept=urn:inside|")) == ["r"]
    assert ids(stored.get(f"DiagnosticReport?result.value-concept={S}|")) == ["r"]
    assert ids(stored.get("Observation?_contained=true&value-concept=urn:inside|")) == ["r"]
    assert ids(stored.get(f"Observation?_has:DiagnosticReport:result:code={S}|")) == ["system"]
    assert ids(stored.get(f"?_type=Observation,DiagnosticReport&code={S}|")) == ["r"]
    stored.put("DiagnosticReport/r", report | {"code": {"text": "none"}})
    then = told.json["meta"]["lastUpdated"]
    assert ids(stored.get(f"DiagnosticReport?code={S}|")) == []
    assert ids(stored.get(f"DiagnosticReport?code={S}|&_asOf={then}")) == ["r"]
    narrow = client(f"system/Observation.rs?value-concept={S}|")
    assert ids(narrow.get("Observation")) == sorted(WITH_SYSTEM)
    assert clean()


@pytest.mark.parametrize("asked", ["telecom=home|555", "phone=tel|555", "telecom:not=urn:s|", "telecom=Phone|1"])
def test_a_contact_point_has_no_system_but_those_of_r4(fhir: Fhir, client: Callable[..., Fhir], asked: str) -> None:
    fhir.get(f"Practitioner?{asked}").refused(400, "invalid", asked.partition("=")[0], "phone, fax, email")


def test_contact_points_and_logical_references_are_asked_through_chains_and_by_scopes(
    stored: Fhir, client: Callable[..., Fhir], clean: Callable[[], bool]
) -> None:
    risks = "RiskAssessment?subject:Patient"
    assert ids(stored.get(f"{risks}.telecom=phone|555")) == ["both", "held"]
    assert ids(stored.get(f"{risks}.telecom=email|")) == ["named"]
    assert ids(stored.get(f"{risks}.telecom=fax|555")) == []
    assert ids(stored.get(f"Patient?_has:RiskAssessment:subject:patient:identifier={S}|")) == ["p"]
    assert ids(stored.get("?_type=Patient,Practitioner&telecom=phone|555")) == ["p", "phone"]
    narrow = client("system/Practitioner.rs?telecom=phone|555", f"system/RiskAssessment.rs?patient:identifier={S}|")
    assert ids(narrow.get("Practitioner")) == ids(narrow.get("Practitioner?telecom=555")) == ["phone"]
    assert ids(narrow.get("RiskAssessment")) == ["both", "held", "logical", "system", "untyped"]
    narrow.get("Practitioner/fax").refused(404, "not-found")
    held = {"resourceType": "Encounter", "id": "e", "status": "planned", "class": {"code": "AMB"},
            "contained": [reachable("x", {"system": "pager", "value": "9"})],
            "participant": [{"individual": {"reference": "#x"}}]}
    told = stored.put("Encounter/e", held)
    assert ids(stored.get("Encounter?participant:Practitioner.telecom=pager|9")) == ["e"]
    assert ids(stored.get("Practitioner?_contained=true&telecom=pager|9")) == ["e"]
    stored.put("Encounter/e", identified("e"))
    asked = f"Practitioner?_contained=true&telecom=pager|&_asOf={told.json['meta']['lastUpdated']}"
    assert ids(stored.get(asked)) == ["e"]
    assert clean()


@pytest.mark.parametrize(("component", "found"), [
    ("a", ["both", "bare", "other"]), (f"{S}|a", ["both"]), ("|a", ["bare"]),
    (f"{S}|", ["both", "mixed", "system"]), (f"{T}|", ["other"]), ("urn:none|", []),
])  # fmt: skip
def test_a_component_of_a_composite_finds_what_the_token_alone_finds(
    fhir: Fhir, component: str, found: list[str]
) -> None:
    """A Coding with a system and no code has the system in a composite, too."""
    kind = {"coding": [{"system": S, "code": "kind"}]}
    for id_, *codings in (
        ("both", {"system": S, "code": "a"}), ("bare", {"code": "a"}), ("other", {"system": T, "code": "a"}),
        ("system", {"system": S}), ("mixed", {"system": S}, {"code": "b"}), ("display", {"display": "a"}),
    ):  # fmt: skip
        fhir.put(f"Observation/{id_}", {**coded(id_, *codings), "code": kind})
    fhir.put("Observation/apart", {**coded("apart", {"system": S}), "code": {"coding": [{"system": T, "code": "x"}]}})
    part = {"code": kind, "valueCodeableConcept": {"coding": [{"system": S, "display": "shown"}]}}
    fhir.put("Observation/part", {"resourceType": "Observation", "id": "part", "status": "final",
                                  "code": {"text": "any"}, "component": [part]})  # fmt: skip
    quoted = quote(component)
    for code in ("kind", f"{S}|kind", f"{S}|"):
        alone = fhir.get(f"Observation?value-concept={quoted}&code={quote(code)}")
        both = fhir.get(f"Observation?code-value-concept={quote(code)}${quoted}")
        assert ids(both) == ids(alone) == sorted(found), code
    in_part = ["part"] if component == f"{S}|" else []
    assert ids(fhir.get(f"Observation?component-code-value-concept=kind${quoted}")) == in_part
    assert ids(fhir.get(f"Observation?combo-code-value-concept=kind${quoted}")) == sorted([*found, *in_part])


def test_a_code_with_a_system_alone_stands_beside_a_quantity(fhir: Fhir) -> None:
    amount = {"valueQuantity": {"value": 5, "unit": "mg"}}
    for id_, coding in (("system", {"system": S}), ("both", {"system": S, "code": "a"}), ("other", {"system": T})):
        fhir.put(f"Observation/{id_}", {"resourceType": "Observation", "id": id_, "status": "final",
                                        "code": {"coding": [coding]}, **amount})  # fmt: skip
    assert ids(fhir.get(f"Observation?code-value-quantity={S}|$5")) == ["both", "system"]
    assert ids(fhir.get(f"Observation?code-value-quantity={S}|$gt5")) == []
    assert ids(fhir.get("Observation?code-value-quantity:missing=false")) == ["both", "other", "system"]

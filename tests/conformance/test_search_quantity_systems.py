"""A number in any unit of a system: system and code are optional, https://hl7.org/fhir/R4/search.html#quantity"""

import pytest

from tests.builders import bundle, observation, patient, post

UCUM = "http://unitsofmeasure.org"


def measured(value, system=None, code=None, subject="Patient/1", **more):
    quantity = {"value": value} | ({"system": system} if system else {}) | ({"code": code} if code else {})
    return observation(subject, code="x", valueQuantity=quantity, **more)


@pytest.fixture
def measures(fhir):
    """Observations: 5 in units of the system urn:one, in one of urn:two, of UCUM, of none; and 6, and 5000 mg."""
    fhir.put("Patient/1", patient(id="1"))
    for id_, parts in {"a": (5, "urn:one", "u"), "b": (5, "urn:one", "v"), "c": (5, "urn:two", "u"),
                       "d": (5, UCUM, "g"), "e": (5,), "f": (6, "urn:one", "u"), "g": (5000, UCUM, "mg"),
                       "h": (5, "urn:one")}.items():  # fmt: skip
        assert fhir.put(f"Observation/{id_}", measured(*parts, id=id_)).status == 201
    return fhir


def ids(answer):
    return "".join(sorted(one["id"] for one in answer.resources()))


NUMBERS = [
    ("5|urn:one|", "abh"), ("5|urn:one", "abh"), ("5.0|urn:one|", "abh"), ("5|urn:two|", "c"), ("5|urn:none|", ""),
    ("gt5|urn:one|", "f"), ("ge5|urn:one|", "abfh"), ("lt5.5|urn:one|", "abh"), ("ne5|urn:one|", "f"),
    ("sa5|urn:one|", "f"), ("ap5|urn:two|", "c"), ("5|urn:one|,6|urn:one|", "abfh"), ("5|urn:two|,5|urn:one|u", "ac"),
    (f"5|{UCUM}|", "d"), (f"gt5|{UCUM}|", "g"), (f"5|{UCUM}|g", "dg"), ("5||u", "ac"), ("5||", "abcdeh"),
]  # fmt: skip


def test_a_number_is_found_in_any_unit_of_the_system(measures, subtests):
    """Nothing is converted: no unit was asked for that it could be converted to."""
    for asked, wanted in NUMBERS:
        with subtests.test(asked):
            for code in ("value-quantity", "combo-value-quantity"):
                assert ids(measures.get(f"Observation?{code}={asked}")) == wanted
            assert measures.total(f"Observation?value-quantity={asked}") == len(wanted)


@pytest.mark.parametrize(("asked", "wanted"), [
    ("code-value-quantity=x$5|urn:one|", "abh"), ("code-value-quantity=x$5|urn:one", "abh"),
    ("combo-code-value-quantity=x$gt5|urn:one|", "f"), ("code-value-quantity=y$5|urn:one|", ""),
    ("code=x&value-quantity=5|urn:one|", "abh"), ("value-quantity=ge5|urn:one|&value-quantity=lt6|urn:one|", "abh"),
    ("value-quantity=5|urn:one|&_sort=-value-quantity&_count=2", "ab"),
    ('_filter=value-quantity eq "5|urn:one|"', "abh"),
])  # fmt: skip
def test_it_is_so_beside_others_in_composites_and_filters(measures, asked, wanted):
    found = ids(measures.get(f"Observation?{asked}"))
    assert found == wanted or ("_count" in asked and len(found) == 2 and set(found) < set("abh"))


def test_it_is_so_in_chains_includes_conditions_and_what_is_contained(measures):
    assert measures.total("Patient?_has:Observation:subject:value-quantity=5|urn:two|") == 1
    assert measures.total("Patient?_has:Observation:subject:value-quantity=5|urn:three|") == 0
    report = {"resourceType": "DiagnosticReport", "status": "final", "code": {"text": "r"},
              "result": [{"reference": "Observation/c"}, {"reference": "#in"}],
              "contained": [{**measured(7, "urn:two", "w"), "id": "in"}]}
    measures.create(report)
    assert measures.total("DiagnosticReport?result.value-quantity=5|urn:two|") == 1
    assert measures.total("Observation?_contained=true&value-quantity=7|urn:two|") == 1
    assert measures.total("Observation?_contained=true&value-quantity=7|urn:one|") == 0
    again = measures.post("Observation", measured(5), If_None_Exist="value-quantity=5|urn:two|")
    assert (again.status, again.id) == (200, "c")
    entry = post(measured(8, "urn:two", "u"), ifNoneExist="value-quantity=8|urn:two|")
    assert measures.post("", bundle(entry)).status == 200


def test_what_stands_alone_behind_the_bar_is_a_uri(measures):
    """A unit there is told where it belongs: as a system it would find nothing."""
    for asked in ("5|", "|urn:one|u", "||u", "5|urn:one|u|x", "5|u", "5|u|"):
        measures.get(f"Observation?value-quantity={asked}").refused(
            400, "invalid", "value-quantity", text="number" if asked[:1] == "|" else "number||code")

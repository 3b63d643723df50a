"""What value sets name is read once, and what those list counts towards what one question may look at."""

from __future__ import annotations

import gc
import weakref
from contextlib import suppress
from typing import Any

import pytest

from hie.errors import FhirError, TooCostly
from hie.fhir.terminology import Terminology, in_value_set, terminology
from hie.fhir.terminology.code_system import CodeSystem
from hie.fhir.terminology.languages import Languages, display_in
from hie.fhir.terminology.member import Member
from hie.fhir.terminology.told_properties import Properties
from tests import terminologies
from tests.growth import Work, growth, growth_of_time
from tests.terminologies import value_set

SYSTEM = "http://example.org/codes"
Json = dict[str, Any]


def code_system(url: str = SYSTEM, size: int = 2, **more: Any) -> Json:
    return terminologies.code_system(url, *map(str, range(size)), hierarchyMeaning="is-a", **more)


def listed(size: int) -> Json:
    return terminologies.listed(SYSTEM, *map(str, range(size)))


def test_what_several_includes_name_is_read_once() -> None:
    inner = value_set(listed(2), url="http://example.org/inner")
    around = value_set({"valueSet": [inner["url"]]}, url="http://example.org/around")
    service = Terminology(given=[inner, around])
    owner = service.value_set(around["url"])
    assert service.imported(inner["url"], owner) is service.imported(inner["url"], owner)
    assert set(owner.members()) == {(SYSTEM, "0"), (SYSTEM, "1")}


@pytest.mark.parametrize("definition", [
    pytest.param(value_set({"valueSet": ["#v"]}, contained=[value_set(listed(6_000), id="v")]), id="a list"),
    pytest.param(value_set({"valueSet": ["#v"]}, contained=[{"resourceType": "ValueSet", "id": "v", "expansion": {
        "contains": [{"system": SYSTEM, "code": str(one)} for one in range(6_000)]}}]), id="an expansion"),
    pytest.param(value_set({"system": SYSTEM, "filter": [
        {"property": "concept", "op": "is-a", "value": "0"}] * 6}), id="several filters"),
    pytest.param(value_set(*[{"system": SYSTEM}] * 30, extension=[
        {"url": "http://hl7.org/fhir/StructureDefinition/valueset-supplement",
         "valueCanonical": f"http://example.org/s{one % 3}|{one}"} for one in range(3)] * 10), id="supplements"),
])  # fmt: skip
def test_what_is_read_counts(definition: Json) -> None:
    given = [definition, code_system(size=2_000), *(
        code_system(f"http://example.org/s{one}", version=str(one), content="supplement", supplements=SYSTEM)
        for one in range(3))]  # fmt: skip
    assert Terminology(given=given).value_set(definition["url"]).has(SYSTEM, "0") is True
    with pytest.raises(TooCostly):
        Terminology(given=given, most_steps=5_500).value_set(definition["url"]).has(SYSTEM, "0")


def test_thousands_of_contained_definitions_are_found_at_once() -> None:
    """Looking at all for each took 4 s for 9,000."""

    def found(number: int) -> Work:
        names = [f"c{one}" for one in range(number)]
        definition = value_set(*({"system": f"#{one}"} for one in names), contained=[
            code_system(f"http://example.org/{one}", 1, id=one) for one in names])

        def work() -> None:
            assert len(Terminology(given=[definition]).value_set(definition["url"]).members()) == number

        return work

    assert growth(found, 200) < 5


def test_what_filters_ask_for_is_found_at_once_among_what_a_code_system_declares() -> None:
    """20,000 filters looked through 40,000 properties each: minutes."""

    def asked(number: int) -> Work:
        system = code_system(property=[{"code": f"p{one}", "type": "string"} for one in range(number)])
        definition = value_set({"system": SYSTEM, "filter": [
            {"property": f"p{number - 1}", "op": "exists", "value": "false"}] * number})  # fmt: skip

        def work() -> None:
            assert Terminology(given=[definition, system]).value_set(definition["url"]).has(SYSTEM, "0") is True

        return work

    assert growth(asked, 200) < 5


def test_each_resource_of_several_may_look_at_as_much() -> None:
    sets = [value_set({"valueSet": ["#v"]}, contained=[value_set(listed(1_500), id="v")], url=f"urn:{one}")
            for one in range(3)]  # fmt: skip
    service = Terminology(given=sets, most_steps=5_000)  # one costs 3,500 to 4,500
    assert [service.in_value_set(f"urn:{one}", SYSTEM, "1") for one in range(2)] == [True, True]
    assert service.begins_anew()
    assert [service.in_value_set(f"urn:{one}", SYSTEM, "1") for one in range(3)] == [True, True, True]
    assert not service.begins_anew(), "that much is better let go"
    short = Terminology(given=sets, most_steps=5_000)
    assert [short.in_value_set(f"urn:{one}", SYSTEM, "1") for one in range(2)] == [True, True]
    with pytest.raises(TooCostly):
        short.in_value_set("urn:2", SYSTEM, "1")
    assert not short.begins_anew(), "for what comes next there may be enough"


def test_a_value_set_that_nobody_knows_leaves_nothing_behind() -> None:
    of_all = terminology._specification()
    before = len(of_all._value_sets), len(of_all._found)
    for url in ("http://example.org/nothing", "http://hl7.org/fhir/ValueSet/administrative-gender|9",
                "http://snomed.info/sct?fhir_vs=isa/1"):  # fmt: skip
        assert in_value_set(url, None, "x") is None
    assert (len(of_all._value_sets), len(of_all._found)) == before
    assert in_value_set("http://hl7.org/fhir/ValueSet/administrative-gender", None, "male") is True


def test_a_supplement_that_names_one_code_often_takes_as_long_as_it_is() -> None:
    """Copying all for each took 6 s for 40,000, in few instructions of Python."""

    def read(number: int) -> Work:
        values = [str(one) for one in range(number)]
        supplement = code_system(content="supplement", concept=[
            {"code": "0", "designation": [{"value": one}]} for one in values])

        def work() -> None:
            concept = CodeSystem(code_system(), [supplement]).concepts["0"]
            assert [one["value"] for one in concept.designations] == values

        return work

    assert growth_of_time(read, 10_000) < 8


@pytest.mark.parametrize("include", [
    pytest.param(listed(2), id="a list"),
    pytest.param({"system": SYSTEM, "filter": [{"property": "code", "op": "regex", "value": "[0-9]"}]}, id="a filter"),
    pytest.param({"system": SYSTEM, "filter": [
        {"property": "concept", "op": "is-a", "value": "0"}]}, id="what is below"),
    pytest.param({"system": "http://example.org/absent"}, id="a code system that is not here"),
    pytest.param({"system": "http://snomed.info/sct", "filter": [
        {"property": "concept", "op": "is-a", "value": "1"}]}, id="SNOMED CT"),
    pytest.param({"valueSet": ["http://example.org/inner"]}, id="another value set"),
    pytest.param({"valueSet": ["http://example.org/outer"]}, id="one that names another"),
    pytest.param({"valueSet": ["http://example.org/absent"]}, id="a value set that is not here"),
    pytest.param({"valueSet": ["#v"]}, id="what is contained"),
])  # fmt: skip
def test_what_has_been_asked_is_let_go_without_a_search_for_garbage(include: Json) -> None:
    """That is done at intervals: each question of a list of 300,000 codes left 100 MB until then."""
    inner = value_set(listed(2), url="http://example.org/inner")
    given = [value_set(include, contained=[value_set(listed(2), id="v")]), code_system(), inner,
             value_set({"valueSet": [inner["url"]]}, url="http://example.org/outer")]
    gc.collect()
    gc.disable()
    try:
        service = Terminology(given=given)
        with suppress(FhirError):
            service.in_value_set("http://example.org/vs", SYSTEM, "1")
        with suppress(FhirError):
            service.in_contained(given[0], given[0], SYSTEM, "1")
        seen = weakref.ref(service)
        del service
        assert seen() is None
    finally:
        gc.enable()


def test_properties_that_are_declared_are_looked_through_once() -> None:
    def told(number: int) -> Work:
        system = CodeSystem(code_system(size=number, property=[
            {"code": f"p{one}", "type": "string"} for one in range(number)]))
        members = [Member(SYSTEM, code) for code in system.concepts]

        def work() -> None:
            properties = Properties(["*"], [system])
            assert all(len(list(properties.of_member(one))) == 1 for one in members), "inactive"

        return work

    assert growth(told, 200) < 5


def test_designations_are_each_looked_at_once_for_all_languages() -> None:
    languages = [f"a{one}-Latn-CH" for one in "abcdefghij"]

    def shown(number: int) -> Work:
        rows = tuple({"language": f"x{one % 50}", "value": str(one)} for one in range(number))
        return lambda: display_in(Languages(",".join(languages)), Member(SYSTEM, "0", designations=rows))

    assert growth(shown, 2_000) < 5
    few = Languages("aa,ab")
    assert display_in(few, Member(SYSTEM, "0", designations=({"language": "AB-x", "value": "b"},))) == "b"

"""What a conditional write shares locks by: hie.store.looking"""

import pytest

from hie.fhir import facts, search_parameters
from hie.store.looking import IDENTIFIERS, identifiers, looked


def test_the_parameter_identifier_looks_at_no_other_elements_in_any_type():
    for type_name in facts.RESOURCE_TYPES:
        found = search_parameters.for_type(type_name).get("identifier")
        if found is not None:
            assert found.type == "token"
            assert {part.strip().partition(".")[2] for part in str(found.expression).split("|")} <= set(IDENTIFIERS)


def test_the_identifiers_of_a_resource_are_what_it_is_indexed_by():
    content = {"resourceType": "DocumentReference", "masterIdentifier": {"value": "m"},
               "identifier": [{"system": "s", "value": "a"}, {"system": "s"}, {"value": "b"}]}
    indexed = {value for code, _, value in search_parameters.extract(content).tokens if code == "identifier"}
    assert set(identifiers(content)) == indexed == {"m", "a", "b"}


@pytest.mark.parametrize(("criteria", "values"), [
    ({"identifier": "s|a"}, ["a"]), ({"identifier": "a,s|b"}, ["a", "b"]),
    ({"active": "true", "identifier": "|a"}, ["a"]),
    ({"identifier": "s|"}, []), ({"identifier": "a,s|"}, []), ({"identifier:missing": "false"}, []),
    ({"family": "x"}, []), ({"identifier:not": "a"}, []),
])  # fmt: skip
def test_criteria_lead_to_identifiers_only_where_every_match_has_one(criteria, values):
    assert [one.code for one in looked("Patient", list(criteria.items())).identifiers] == values

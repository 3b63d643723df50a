"""Rewriting changes exactly the references that iterating shows."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hie.fhir import references

texts = st.sampled_from(["urn:uuid:00000000-0000-4000-8000-000000000001", "Patient/1", "Group?x=1", "#c", "http://a/b"])
reference = st.fixed_dictionaries({"reference": texts}, optional={"display": texts})
extension = st.fixed_dictionaries(
    {"url": st.just("http://e")}, optional={"valueReference": reference, "valueCode": texts}
)
resources = st.fixed_dictionaries(
    {"resourceType": st.just("Observation")},
    optional={
        "subject": reference,
        "performer": st.lists(reference, max_size=4),
        "extension": st.lists(extension, max_size=3),
        "_status": st.fixed_dictionaries({"extension": st.lists(extension, max_size=2)}),
        "component": st.lists(st.fixed_dictionaries({"extension": st.lists(extension, max_size=2)}), max_size=3),
        "contained": st.lists(
            st.fixed_dictionaries({"resourceType": st.just("Flag"), "subject": reference}), max_size=2
        ),
    },
)
mappings = st.dictionaries(texts, st.sampled_from(["Patient/new", "Group/new"]), max_size=4)


@given(resources, mappings)
def test_rewriting_maps_each_reference_and_leaves_the_rest(resource: dict[str, Any], mapping: dict[str, str]) -> None:
    before = [(path, holder["reference"]) for path, holder in references.iterate(copy.deepcopy(resource))]
    rewritten = copy.deepcopy(resource)
    count = references.rewrite(rewritten, mapping)
    after = [(path, holder["reference"]) for path, holder in references.iterate(rewritten)]
    assert after == [(path, mapping.get(text, text)) for path, text in before]
    assert count == sum(text in mapping for _, text in before)


@given(resources)
def test_rewriting_back_and_forth_gives_the_same_resource(resource: dict[str, Any]) -> None:
    original = copy.deepcopy(resource)
    forth = {"Patient/1": "Patient/unique-a", "Group?x=1": "Group/unique-b"}
    references.rewrite(resource, forth)
    references.rewrite(resource, {new: old for old, new in forth.items()})
    assert resource == original

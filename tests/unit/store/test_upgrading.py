"""Opening a store that an earlier version of the server left: each schema's, with its records and their index."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import inspect, text

from hie.errors import NotFound, NotSupported
from hie.fhir.facts import RESOURCE_TYPES
from hie.fhir.scopes import parse_grant
from hie.settings import Settings
from hie.store import closures, packages
from hie.store.check import check
from hie.store.models import CREATED, DELETED, REVIVED, UPDATED
from hie.store.resources import ResourceStore
from hie.store.schema import HEAD
from hie.store.search import query
from hie.store.search.associated import ASSOCIATED_ENCOUNTER
from hie.store.search.criteria import BelongsTo
from hie.store.search.query import SearchQuery
from hie.store.search.security_context import parameter
from hie.store.store import Store
from hie.store.terminology import terminology
from hie.store.versions import StoredVersion
from tests.builders import encounter, observation, patient
from tests.machine_steps import bound
from tests.older_stores import (
    ADDED_COLUMNS,
    ADDED_INDEXES,
    filled,
    found_by_chain,
    opened_from,
    opened_without_index,
)
from tests.terminologies import code_system


def test_a_store_from_before_the_index_of_references_is_indexed_when_it_is_opened(settings: Settings) -> None:
    """Schema 0001 had no such table; the work goes on where an interrupted start left it."""
    store = filled(settings)
    upgraded = opened_from(store, "0001", settings)
    assert found_by_chain(upgraded) == ["o1", "o2"]
    with upgraded.database.engine.begin() as connection:
        connection.execute(text("INSERT INTO reindexing (tenant, after) VALUES (1, 1)"))
        connection.execute(text("DELETE FROM reference_index WHERE key > 1"))
    assert any("reference index" in problem for problem in check(upgraded).problems)
    upgraded.close()
    again = Store.open(settings)
    assert check(again).problems == []
    assert again.database.connection().execute(text("SELECT count(*) FROM reindexing")).scalar() == 0
    again.close()


def update(store: Store, id_: str, value: int) -> StoredVersion:
    return put(store, observation("Patient/p", value=value, id=id_))


def put(store: Store, content: dict[str, Any]) -> StoredVersion:
    return bound(store).transact(lambda inside: inside.update(content["resourceType"], content["id"], content))


def test_a_store_from_before_asynchronous_requests_is_upgraded_with_its_records(settings: Settings) -> None:
    store = filled(settings)
    upgraded = opened_from(store, "0002", settings)
    with upgraded.database.engine.connect() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == HEAD
        assert connection.execute(text("SELECT count(*) FROM async_request")).scalar() == 0
        assert [one["name"] for one in inspect(connection).get_indexes("async_request")] == ["ix_async_request_client"]
    assert found_by_chain(upgraded) == ["o1", "o2"]
    upgraded.close()


def test_a_store_from_before_packages_gets_their_tables(settings: Settings) -> None:
    store = filled(settings)
    upgraded = opened_from(store, "0004", settings)
    connection = upgraded.database.connection()
    assert (packages.packages(connection), packages.mode_of(connection, 1)) == ([], "off")
    upgraded.close()


def test_a_store_from_before_words_and_units_is_indexed_when_it_is_opened(settings: Settings) -> None:
    """Schema 0005 had none of these rows."""
    store = filled(settings)
    with store.database.engine.begin() as connection:
        connection.execute(text("DELETE FROM number_index WHERE unit = 0"))
    assert found(store, "value-quantity", "80|http://unitsofmeasure.org|{beats}/min") == []
    upgraded = opened_from(store, "0005", settings)
    assert found(upgraded, "value-quantity", "80|http://unitsofmeasure.org|{beats}/min") == ["o1", "o2"]
    upgraded.close()


def test_a_store_with_parameters_of_its_own_has_their_past_indexed_when_it_is_opened(settings: Settings) -> None:
    """Schema 0009 kept of a superseded version what R4's own parameters find."""
    store = filled(settings)
    update(store, "o1", 1)
    heart = {"resourceType": "SearchParameter", "status": "active", "url": "http://example.org/h", "code": "h",
             "base": ["Observation"], "type": "string", "expression": "Observation.code.text"}  # fmt: skip
    bound(store).transact(lambda inside: inside.create("SearchParameter", heart))
    with store.database.engine.begin() as connection:
        connection.execute(text("UPDATE custom_parameter SET state = 'ready'"))
        connection.execute(text("UPDATE custom_version SET number = number + 1"))
    assert any("version 1" in one for one in check(store).problems)
    upgraded = opened_from(store, "0009", settings)
    assert found(upgraded, "h", "heart") == ["o1", "o2"]
    upgraded.close()


def test_another_setting_of_content_search_indexes_the_store_anew(settings: Settings) -> None:
    store = filled(settings)
    with pytest.raises(NotSupported, match="HIE_CONTENT_SEARCH"):
        found(store, "_content", "heart")
    store.close()
    store_again = Store.open(settings)
    update(store_again, "o1", 1)
    store_again.close()
    for content_search in (True, False):
        changed = replace(settings, content_search=content_search)
        before = Store.open(changed)  # a command: it takes the store as it is
        assert before.tenants[1].content_words is not content_search
        assert check(before).problems == []
        before.close()
        opened = Store.open(changed, decides_index=True)
        assert check(opened).problems == []
        assert found_by_chain(opened) == ["o1", "o2"]
        if content_search:
            assert found(opened, "_content", "heart rate") == ["o1", "o2"]
        opened.close()


def found(store: Store, name: str, value: str) -> list[str]:
    return [one.id for one in bound(store).search(query.parse("Observation", [(name, value)])).matches]


def test_the_past_of_a_store_from_before_its_index_is_indexed_when_it_is_opened(settings: Settings) -> None:
    store = filled(settings)
    then = update(store, "o1", 1)
    bound(store).transact(lambda inside: inside.delete("Observation", "o2"))
    upgraded = opened_from(store, "0006", settings)
    past = bound(upgraded).as_of(then.updated - 1)
    asked = query.parse("Observation", [("value-quantity", "80"), ("code", "8867-4"), ("date", "2024-03-01")])
    assert [one.id for one in past.search(asked).matches] == ["o1", "o2"]
    assert bound(upgraded).search(asked).matches == []
    with upgraded.database.engine.begin() as connection:
        connection.execute(text("DELETE FROM number_past"))
        connection.execute(text("UPDATE past_version SET presence = presence + 1"))
    assert len([one for one in check(upgraded).problems if "version 1 does not match" in one]) == 6
    upgraded.close()


def test_rows_that_are_no_longer_kept_are_gone_when_the_store_is_opened(settings: Settings) -> None:
    store = filled(settings)
    update(store, "o1", 1)
    with store.database.engine.begin() as connection:
        if store.database.dialect == "sqlite":
            connection.execute(text("INSERT INTO token (hash, key) SELECT 7, key FROM resource"))
            connection.execute(text("INSERT INTO token_past (hash, key, vid) SELECT 7, key, vid FROM past_version"))
        else:
            for table in ("resource", "past_version"):
                connection.execute(text(f"UPDATE {table} SET tokens = tokens || 7::bigint WHERE tokens IS NOT NULL"))
    assert check(store).problems
    upgraded = opened_from(store, "0007", settings)
    assert found_by_chain(upgraded) == ["o1", "o2"]
    upgraded.close()


def test_what_resources_contain_is_indexed_in_a_store_from_before(settings: Settings) -> None:
    store = Store.open(settings)
    report = {"resourceType": "DiagnosticReport", "id": "r", "status": "final", "code": {"text": "x"}}
    for value in (1, 2):
        report = {**report, "contained": [observation(value=value, id="x")], "result": [{"reference": "#x"}]}
        changed = put(store, report)
    upgraded = opened_from(store, "0008", settings)
    for at, value in ((changed.updated - 1, "1"), (changed.updated, "2")):
        asked = query.parse("Observation", [("_contained", "true"), ("value-quantity", value)], contained=True)
        assert [one.id for one in bound(upgraded).as_of(at).search(asked).matches] == ["r"]
    upgraded.close()


def test_documents_are_found_by_their_relationship_in_a_store_from_before(settings: Settings) -> None:
    """Up to schema 0012 DocumentReference?relationship had no values."""
    store = Store.open(settings)
    related = {"code": "appends", "target": {"reference": "DocumentReference/1"}}
    for id_, more in (("1", {}), ("2", {"relatesTo": [related]})):
        content = {"resourceType": "DocumentReference", "id": id_, "status": "current",
                   "content": [{"attachment": {"title": "x"}}], **more}  # fmt: skip
        put(store, content)
    upgraded = opened_without_index(store, "0012", settings)
    asked = query.parse("DocumentReference", [("relationship", "DocumentReference/1$appends")])
    assert [one.id for one in bound(upgraded).search(asked).matches] == ["2"]
    upgraded.close()


@pytest.mark.parametrize("has_both", [True, False])
def test_named_value_sets_and_contained_patients_are_found_in_a_store_from_before(
    settings: Settings, has_both: bool
) -> None:
    """Up to schema 0013 CodeSystem.valueSet was not indexed, and patient:missing passed over what is contained."""
    store = Store.open(settings)
    codes = code_system("http://x/c", "a", id="c", valueSet="http://x/v")
    held = observation("#p", id="o") | {"contained": [{"resourceType": "Patient", "id": "p"}]}
    for content in (held, codes)[: 2 if has_both else 1]:
        put(store, content)
    upgraded = opened_without_index(store, "0013", settings)
    asked = query.parse("Observation", [("patient:missing", "false")])
    assert [one.id for one in bound(upgraded).search(asked).matches] == ["o"]
    if has_both:
        assert terminology(bound(upgraded)).value_set("http://x/v").has("http://x/c", "a") is True
    upgraded.close()


def test_the_updates_that_brought_something_to_life_are_told_from_others_in_a_store_from_before(
    settings: Settings,
) -> None:
    """Schema 0011 kept of both that they were updates."""
    store = filled(settings)
    for id_, value in (("o3", 1), ("o3", 2), ("o2", 3), ("o9", 1)):
        update(store, id_, value)
    bound(store).transact(lambda inside: inside.delete("Observation", "o2"))
    update(store, "o2", 4)
    made = {("o1", 1): CREATED, ("o2", 1): CREATED, ("o3", 1): CREATED, ("o9", 1): UPDATED, ("o3", 2): DELETED,
            ("o3", 3): REVIVED, ("o3", 4): UPDATED, ("o2", 2): UPDATED, ("o2", 3): DELETED, ("o2", 4): REVIVED}
    assert methods(store) == made
    with store.database.engine.begin() as connection:
        for table in ("resource", "resource_history", "past_version"):
            connection.execute(text(f"UPDATE {table} SET method = {UPDATED} WHERE method = {REVIVED}"))
    upgraded = opened_from(store, "0011", settings)
    assert methods(upgraded) == made
    upgraded.close()


def test_pages_of_a_store_from_before_versions_were_numbered_show_what_the_first_saw(settings: Settings) -> None:
    """Schema 0014 did not tell which transaction had written a version, or ended it."""
    store = filled(settings)
    update(store, "o1", 1)
    upgraded = opened_from(store, "0014", settings)
    asked = [("_count", "1"), ("_sort", "-_lastUpdated")]
    firsts = []

    def under_way(inside: ResourceStore) -> None:
        inside.update("Observation", "o2", observation("Patient/p", value=2))
        inside.update("Observation", "o3", observation("Patient/p", value=3))
        firsts.append(bound(upgraded).search(query.parse("Observation", asked)))

    bound(upgraded).transact(under_way)
    second = bound(upgraded).search(query.parse("Observation", [*asked, ("_cursor", firsts[0].next_cursor)]))
    shown = [(one.id, one.vid) for page in (*firsts, second) for one in page.matches]
    assert (shown, second.next_cursor) == ([("o1", 2), ("o2", 1)], None)
    assert check(upgraded).problems == []
    upgraded.close()


@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_what_another_server_has_numbered_is_taken_for_seen(settings: Settings) -> None:
    """A backup that is restored into another PostgreSQL has transactions which that has not come to yet."""
    store = filled(settings)
    update(store, "o1", 1)
    with store.database.engine.begin() as connection:
        for table, column in ADDED_COLUMNS["0015"]:
            connection.execute(text(f"UPDATE {table} SET {column} = {column} + 1000000"))
    store.close()
    restored = Store.open(settings)
    asked = [("_count", "1"), ("_sort", "_id")]
    first = bound(restored).search(query.parse("Observation", asked))
    second = bound(restored).search(query.parse("Observation", [*asked, ("_cursor", first.next_cursor or "")]))
    assert [(one.id, one.vid) for page in (first, second) for one in page.matches] == [("o1", 2), ("o2", 1)]
    assert check(restored).problems == []
    restored.close()


def test_what_says_who_reads_a_binary_is_found_in_a_store_from_before(settings: Settings) -> None:
    """Schema 0015 had no index of Binary.securityContext."""
    store = filled(settings)
    for context in ("Patient/p", None, "Patient/p"):
        content = {"resourceType": "Binary", "id": "b", "contentType": "text/plain"}
        named = {"securityContext": {"reference": context}} if context else {}
        put(store, content | named)
    its = parameter(store.tenants[1].blind)
    with store.database.engine.begin() as connection:
        for table in ("date_index", "date_past"):
            found = connection.execute(text(f"DELETE FROM {table} WHERE parameter = :its"), {"its": its})
            assert found.rowcount == 1
    narrow = parse_grant(["system/Binary.rs"])
    assert replace(bound(store), grant=narrow).read("Binary", "b").vid == 3  # the test would else prove nothing
    upgraded = opened_from(store, "0015", settings)
    with pytest.raises(NotFound):
        replace(bound(upgraded), grant=narrow).read("Binary", "b")
    seeing = parse_grant(["system/Binary.rs", "system/Patient.rs?family=smith"])
    assert replace(bound(upgraded), grant=seeing).read("Binary", "b").vid == 3
    versions = [one.vid for one in replace(bound(upgraded), grant=narrow).history("Binary").versions]
    assert versions == []
    upgraded.close()


def test_systems_alone_and_dates_inside_are_indexed_in_a_store_from_before(settings: Settings) -> None:
    """Schema 0016 had no row for a coding without a code, and no index of the dates of what is contained."""
    store = filled(settings)
    held = observation(id="x") | {"valueCodeableConcept": {"coding": [{"system": "urn:s"}]}}
    del held["valueQuantity"]
    content = observation("Patient/p", id="o") | {"contained": [held], "hasMember": [{"reference": "#x"}],
                                                  "category": [{"coding": [{"system": "urn:s", "display": "S"}]}]}
    put(store, content)
    upgraded = opened_without_index(store, "0016", settings)
    for asked in ([("category", "urn:s|")], [("has-member.value-concept", "urn:s|"), ("date", "2024")]):
        assert [one.id for one in bound(upgraded).search(query.parse("Observation", asked)).matches] == ["o"]
    indexes = {one["name"] for one in inspect(upgraded.database.engine).get_indexes("contained")}
    assert indexes.issuperset(ADDED_INDEXES["0017"])
    upgraded.close()


def test_a_store_from_before_closure_tables_gets_them(settings: Settings) -> None:
    store = filled(settings)
    upgraded = opened_from(store, "0017", settings)
    bound(upgraded).transact(lambda inside: closures.initialize(inside, "client", "codes"))
    table = closures.find(bound(upgraded), "client", "codes")
    assert table is not None
    assert (table.generation, table.version) == (1, 0)
    assert closures.find(bound(upgraded), "other", "codes") is None
    assert check(upgraded).problems == []
    assert found_by_chain(upgraded) == ["o1", "o2"]
    upgraded.close()


def test_contact_points_and_logical_references_are_found_by_their_system_in_a_store_from_before(
    settings: Settings,
) -> None:
    """Schema 0018 had of a contact point its value alone, and of a reference no identifier without a value."""
    store = Store.open(settings)
    person = patient("Smith", id="p", telecom=[{"system": "phone", "value": "555"}])
    bound(store).transact(lambda inside: inside.create("Patient", person, id="p"))
    about = observation(id="o") | {"subject": {"type": "Patient", "identifier": {"system": "urn:mrn"}}}
    then = bound(store).transact(lambda inside: inside.create("Observation", about, id="o"))
    put(store, observation(id="o"))
    upgraded = opened_without_index(store, "0018", settings)
    by_phone = query.parse("Patient", [("telecom", "phone|555")])
    assert [one.id for one in bound(upgraded).search(by_phone).matches] == ["p"]
    by_system = query.parse("Observation", [("patient:identifier", "urn:mrn|")])
    assert bound(upgraded).search(by_system).matches == []
    assert [one.id for one in bound(upgraded).as_of(then.updated).search(by_system).matches] == ["o"]
    upgraded.close()


def test_what_is_part_of_an_encounter_and_associated_with_it_belongs_to_it_in_a_store_from_before(
    settings: Settings,
) -> None:
    """Schema 0019 had of the two references that of the search parameter alone."""
    store = Store.open(settings)
    beside = [{"url": ASSOCIATED_ENCOUNTER, "valueReference": {"reference": "Encounter/whole"}}]
    part = encounter("Patient/p", partOf={"reference": "Encounter/whole"}, extension=beside)

    def unit(inside: ResourceStore) -> None:
        inside.create("Patient", patient("Smith", id="p"), id="p")
        inside.create("Encounter", encounter("Patient/p"), id="whole")
        inside.create("Encounter", part, id="part")

    bound(store).transact(unit)
    upgraded = opened_without_index(store, "0019", settings)
    page = bound(upgraded).search(SearchQuery(None, (BelongsTo("Encounter/whole", RESOURCE_TYPES),), count=10))
    assert sorted(one.id for one in page.matches) == ["part", "whole"]
    upgraded.close()


def methods(store: Store) -> dict[tuple[str, int], int]:
    page = bound(store).history("Observation", None, since=None, count=100, cursor=None)
    return {(one.id, one.vid): one.method for one in page.versions}

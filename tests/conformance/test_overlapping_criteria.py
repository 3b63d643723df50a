"""Conditional writes with different criteria that mean one resource, at the same time: http.html#ccreate"""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from hie.interactions import conditional
from tests.builders import SYSTEM, bundle, patient, post

A, B = f"identifier={SYSTEM}|a", f"identifier={SYSTEM}|b"
BOTH = patient("Both", birthDate="1970-01-01", identifier=[{"system": SYSTEM, "value": value} for value in "ab"])
ANY = f"identifier=x,{SYSTEM}|b"

#: Pairs of criteria, each of which matches what the other makes.
OVERLAPPING = [(A, B), (A, "identifier=b"), (A, ANY), (A, "family=Both&birthdate=1970"), (A, "birthdate=lt1971"),
               ("family=Both", "birthdate=1970-01-01")]


@pytest.mark.parametrize("criteria", OVERLAPPING, ids=["&".join(pair) for pair in OVERLAPPING])
@pytest.mark.parametrize("ahead", [False, True], ids=["in steps", "ahead"])
@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_of_two_that_looked_before_either_wrote_one_creates(fhir, app, criteria, ahead):
    """Both find nothing before either goes on; the one that commits second begins anew, and finds."""
    application, both_looked = app.extensions["hie"], Barrier(2)

    def send(number):
        ctx, attempts = application.context(), []

        def unit(store):
            parameters = conditional.criteria("Patient", criteria[number], "http.If-None-Exist")
            if not ahead:
                store.lock("Patient", [("the transaction begins", str(number))])
            found = conditional.existing("Patient", parameters, ctx.within(store), "http.If-None-Exist")
            attempts.append(found)
            if len(attempts) == 1:
                both_looked.wait(10)
            return (200 if found else 201), found or store.create("Patient", BOTH)

        return ctx.store.transact(unit)

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(send, range(2)))
    assert sorted(status for status, _ in answers) == [200, 201]
    assert len({stored.id for _, stored in answers}) == 1
    assert fhir.total("Patient") == 1


def test_of_many_that_mean_one_resource_by_different_criteria_one_creates(fhir):
    values = [f"v{number}" for number in range(6)]
    person = patient("Many", identifier=[{"system": SYSTEM, "value": value} for value in values])

    def send(number):
        url = f"identifier={SYSTEM}|{values[number % 6]}"
        if number % 3 == 0:
            return fhir.put(f"Patient?{url}", person).status
        if number % 3 == 1:
            return fhir.post("Patient", person, If_None_Exist=url).status
        answer = fhir.post("", bundle(post(person, ifNoneExist=url))).entries()[0]
        return int(answer["response"]["status"][:3])

    with ThreadPoolExecutor(6) as pool:
        statuses = Counter(pool.map(send, range(12)))
    assert statuses == {201: 1, 200: 11}
    assert fhir.total("Patient") == 1


@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_a_transaction_whose_own_writes_make_another_match_ends(fhir):
    """Chains lead through what it writes itself; that is no neighbour's doing, and is not waited for."""
    fhir.put("Practitioner/1", {"resourceType": "Practitioner", "id": "1"})
    fhir.create(patient("Old", generalPractitioner=[{"reference": "Practitioner/1"}]))
    renamed = {"resourceType": "Practitioner", "id": "1", "name": [{"family": "Mended"}]}
    answer = fhir.post("", bundle(
        {"request": {"method": "PUT", "url": "Practitioner/1"}, "resource": renamed},
        post(patient("New"), ifNoneExist="general-practitioner:Practitioner.name=Mended")))
    assert [row["response"]["status"] for row in answer.entries()] == ["200 OK", "201 Created"]
    assert fhir.total("Patient") == 2


@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_who_means_another_resource_does_not_wait_or_begin_anew(fhir, app):
    """Of one type and with identifiers of their own: locks that they share would make them wait for each other."""
    application, looked, attempts = app.extensions["hie"], Barrier(2), []

    def send(number):
        ctx = application.context()

        def unit(store):
            attempts.append(number)
            parameters = (("identifier", f"{SYSTEM}|{number}"),)
            found = conditional.existing("Patient", parameters, ctx.within(store), "http.url")
            assert found is None
            looked.wait(10)
            return store.create("Patient", patient(identifier=str(number)))

        return ctx.store.transact(unit)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(send, range(2)))
    assert (sorted(attempts), fhir.total("Patient")) == ([0, 1], 2)

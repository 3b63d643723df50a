"""Many at once: https://hl7.org/fhir/R4/http.html#concurrency"""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy.exc import ProgrammingError

from hie.store.conflicts import Again
from tests.builders import SYSTEM, bundle, observation, patient, post, practitioner


def at_once(number, function):
    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(function, range(number)))


def test_of_many_equal_conditional_creates_one_creates(fhir):
    def create(_):
        return fhir.post("Patient", patient(identifier="1"), If_None_Exist=f"identifier={SYSTEM}|1")

    answers = at_once(8, create)
    assert Counter(answer.status for answer in answers) == {201: 1, 200: 7}
    assert len({answer.id for answer in answers}) == 1
    assert fhir.total("Patient") == 1


def test_of_many_equal_conditional_updates_one_creates(fhir):
    def update(number):
        return fhir.put(f"Patient?identifier={SYSTEM}|1", patient(f"Name{number}", identifier="1"))

    answers = at_once(6, update)
    assert Counter(answer.status for answer in answers) == {201: 1, 200: 5}
    assert {answer.vid for answer in answers} == {"1", "2", "3", "4", "5", "6"}
    assert fhir.total("Patient") == 1


def test_of_many_transactions_with_one_condition_one_creates(fhir):
    doctor = "urn:uuid:11111111-1111-1111-1111-111111111111"

    def send(number):
        entries = [post(practitioner("1"), doctor, ifNoneExist=f"identifier={SYSTEM}|1"),
                   post(patient(f"Name{number}", generalPractitioner=[{"reference": doctor}]))]
        return fhir.post("", bundle(*entries), Prefer="return=representation")

    answers = at_once(6, send)
    assert {answer.status for answer in answers} == {200}
    assert len({answer.resources()[1]["generalPractitioner"][0]["reference"] for answer in answers}) == 1
    assert (fhir.total("Practitioner"), fhir.total("Patient")) == (1, 6)


def test_of_many_updates_of_one_version_one_wins(fhir):
    id_ = fhir.create(patient("Before"))["id"]

    def update(number):
        return fhir.put(f"Patient/{id_}", patient(f"Name{number}", id=id_), If_Match='W/"1"')

    assert Counter(answer.status for answer in at_once(8, update)) == {200: 1, 412: 7}
    assert fhir.get(f"Patient/{id_}").vid == "2"


def test_a_delete_and_a_reference_to_it_never_both_succeed(fhir):
    for _ in range(4):
        id_ = fhir.create(patient())["id"]

        def act(number, id_=id_):
            if number == 0:
                return fhir.delete(f"Patient/{id_}")
            return fhir.post("Observation", observation(f"Patient/{id_}"))

        deleted, referred = at_once(2, act)
        assert (deleted.status, referred.status) in ((200, 400), (409, 201))


def test_transactions_that_change_the_same_in_other_orders_do_not_wait_in_a_circle(fhir, monkeypatch):
    monkeypatch.setattr("hie.store.database.WRITE_ATTEMPTS", 2)
    monkeypatch.setattr("hie.store.transacting.WRITE_ATTEMPTS", 2)
    ids = [fhir.create(patient("Before"))["id"] for _ in range(2)] + ["new-a", "new-b"]

    def send(number):
        order = ids if number % 2 else ids[::-1]
        entries = [{"resource": patient(f"Name{number}", id=id_), "request": {"method": "PUT", "url": f"Patient/{id_}"}}
                   for id_ in order]
        return fhir.post("", bundle(*entries))

    assert Counter(answer.status for answer in at_once(12, send)) == {200: 12}
    names = {one["name"][0]["family"] for one in fhir.get("Patient").resources()}
    assert len(names) == 1  # each time all of them, by one sender
    assert fhir.get("Patient/new-a").vid == "12"


def test_transactions_take_turns_after_two_waited_for_each_other(app, fhir, monkeypatch):
    monkeypatch.setattr("hie.store.database.WRITE_ATTEMPTS", 2)
    monkeypatch.setattr("hie.store.transacting.WRITE_ATTEMPTS", 2)
    ended = ProgrammingError("SELECT", {}, Exception())
    ended.orig.sqlstate = "40P01"
    app.extensions["hie"].store.tenants[1].turns.met(ended)

    def send(number):
        order = ("1", "2", "3")[:: 1 if number % 2 else -1]
        entries = [{"resource": patient(f"Name{number}", identifier=one),
                    "request": {"method": "PUT", "url": f"Patient?identifier={SYSTEM}|{one}"}} for one in order]
        return fhir.post("", bundle(*entries))

    assert Counter(answer.status for answer in at_once(8, send)) == {200: 8}
    assert [one["meta"]["versionId"] for one in fhir.get("Patient").resources()] == ["8", "8", "8"]


def test_who_meets_a_neighbour_at_every_try_is_told_to_send_it_again(fhir, monkeypatch):
    def met(*_):
        raise Again("A neighbour was quicker.")

    monkeypatch.setattr("hie.store.unit_of_work.UnitOfWork.finish", met)
    monkeypatch.setattr("hie.store.unit_of_work.UnitOfWork.commit_at_once", lambda *_: False)
    monkeypatch.setattr("hie.store.transacting.retry_pause", lambda _: None)
    answer = fhir.post("Patient", patient())
    answer.refused(503, "transient")
    assert answer.headers["Retry-After"] == "1"

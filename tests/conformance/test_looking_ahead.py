"""Conditional writes look before their transaction begins: what is there needs none, what changes begins anew."""

import random
from concurrent.futures import ThreadPoolExecutor
from threading import Thread

import pytest

from hie.store.database import Database
from hie.store.search import conditions
from tests.builders import SYSTEM, bundle, patient, post

BY = f"identifier={SYSTEM}|a"
ONE = patient("Ahead", identifier=[{"system": SYSTEM, "value": "a"}])
OTHER = {**ONE, "identifier": [{"system": SYSTEM, "value": "b"}]}
ADD = [{"op": "add", "path": "/active", "value": True}]


def test_what_changes_nothing_begins_no_transaction(fhir, monkeypatch):
    id_ = fhir.create(ONE)["id"]
    monkeypatch.setattr(Database, "begin", lambda *_: pytest.fail("a transaction began"))
    monkeypatch.setattr(Database, "commit_one", lambda *_: pytest.fail("a message was sent"))
    assert fhir.post("Patient", ONE, If_None_Exist=BY).status == 200
    assert fhir.put(f"Patient?{BY}", ONE).headers["ETag"] == 'W/"1"'
    assert fhir.delete(f"Patient?identifier={SYSTEM}|nobody").status == 200
    monkeypatch.undo()
    assert fhir.get(f"Patient/{id_}").json["meta"]["versionId"] == "1"


def test_several_matches_are_told_without_a_transaction(fhir, monkeypatch):
    for _ in range(2):
        fhir.create(ONE)
    monkeypatch.setattr(Database, "begin", lambda *_: pytest.fail("a transaction began"))
    assert fhir.post("Patient", ONE, If_None_Exist=BY).status == 412
    assert fhir.put(f"Patient?{BY}", ONE).status == 412


@pytest.mark.parametrize(("send", "status", "left"), [
    (lambda fhir: fhir.post("Patient", ONE, If_None_Exist=BY), 200, ["b"]),
    (lambda fhir: fhir.put(f"Patient?{BY}", ONE), 201, ["a", "b"]),
    (lambda fhir: fhir("PATCH", f"Patient?{BY}", ADD, Content_Type="application/json-patch+json"), 404, ["b"]),
    (lambda fhir: fhir.delete(f"Patient?{BY}"), 200, ["b"]),
], ids=["create", "update", "patch", "delete"])  # fmt: skip
def test_a_match_that_no_longer_matches_is_not_changed(fhir, monkeypatch, send, status, left):
    """It was one when it was looked for: a create may say so, everything else begins anew."""
    id_ = fhir.create(ONE)["id"]
    _then(monkeypatch, lambda: fhir.put(f"Patient/{id_}", {**OTHER, "id": id_}))
    assert send(fhir).status == status
    monkeypatch.undo()
    assert sorted(one["identifier"][0]["value"] for one in fhir.get("Patient").resources()) == left
    assert fhir.get(f"Patient/{id_}").json["meta"]["versionId"] == "2"


@pytest.mark.parametrize("send", [
    lambda fhir: fhir.post("Patient", ONE, If_None_Exist=BY),
    lambda fhir: fhir.put(f"Patient?{BY}", ONE),
], ids=["create", "update"])  # fmt: skip
def test_what_came_after_it_was_looked_for_is_found(fhir, monkeypatch, send):
    _then(monkeypatch, lambda: fhir.create({**ONE, "active": True}))
    assert send(fhir).status == 200
    monkeypatch.undo()
    assert fhir.total("Patient") == 1


def _then(monkeypatch, act):
    """Let somebody else act, once, when the first search for a match has ended."""
    look, once = conditions.match, [act]

    def match(*given):
        found = look(*given)
        if once:
            other = Thread(target=once.pop())
            other.start()
            other.join(20)
        return found

    monkeypatch.setattr(conditions, "match", match)


def test_what_is_brought_to_life_by_criteria_is_looked_for_once_more(fhir, monkeypatch):
    """The id that the sender chose was deleted: its next version replaces that, and nothing had matched."""
    fhir.put("Patient/x", {**ONE, "id": "x"})
    fhir.delete("Patient/x")
    _then(monkeypatch, lambda: fhir.create(ONE))
    fhir.put(f"Patient?{BY}", {**ONE, "id": "x"}).refused(400, "invalid", "Patient.id")
    monkeypatch.undo()
    assert fhir.total("Patient") == 1


def test_among_many_who_make_and_delete_it_a_resource_is_never_there_twice(fhir, clean):
    """Each looks ahead, in vain more often than not; who began anew is not overtaken for ever."""

    def send(seed):
        source, statuses = random.Random(seed), set()
        for number in range(12):
            one, other = (f"v{source.randrange(3)}" for _ in range(2))
            by = f"identifier={SYSTEM}|{one}"
            content = patient(f"N{seed}-{number}", identifier=[{"system": SYSTEM, "value": one}])
            kind = source.randrange(5)
            if kind == 0:
                answer = fhir.post("Patient", content, If_None_Exist=by)
            elif kind == 1:
                answer = fhir.put(f"Patient?{by}", content)
            elif kind == 2:
                answer = fhir("PATCH", f"Patient?{by}", ADD, Content_Type="application/json-patch+json")
            elif kind == 3:
                answer = fhir.delete(f"Patient?{by}")
            else:
                entries = [post(content, ifNoneExist=by)]
                if other != one:
                    entries.append({"request": {"method": "PUT", "url": f"Patient?identifier={SYSTEM}|{other}"},
                                    "resource": patient("Put", identifier=[{"system": SYSTEM, "value": other}])})
                answer = fhir.post("", bundle(*entries))
            statuses.add(answer.status)
        return statuses

    with ThreadPoolExecutor(8) as pool:
        statuses = set().union(*pool.map(send, range(8)))
    assert statuses <= {200, 201, 404, 503}, "412 would tell of several"
    assert all(fhir.total(f"Patient?identifier={SYSTEM}|v{number}") <= 1 for number in range(3))
    assert clean()

"""A Binary is seen by whom the resource that its securityContext names is seen: docs/adr/0023-security-context.md

https://hl7.org/fhir/R4/binary.html#security-context
"""

from __future__ import annotations

import base64
import itertools
import json
import re
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest

from tests.builders import bundle, entry, observation, patient, post

#: Its scopes let it do everything with every Binary; of the Patients it sees one.
SCOPES = ("system/Binary.cruds", "system/Patient.cruds?gender=male", "system/Task.cruds", "system/Composition.rs",
          "system/DocumentReference.rs", "system/List.rs")  # fmt: skip
CHANGING = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{32}"
    r"|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[0-9.]*(?:Z|[+-]\d\d:\d\d)|_cursor=[^\"&]+"
)
JSON_PATCH = {"Content_Type": "application/json-patch+json"}


def binary(id_: str, context: Any = None, **more: Any) -> dict[str, Any]:
    """Return a Binary; `context` is what it refers to, or its whole securityContext."""
    named = {"reference": context} if isinstance(context, str) else context
    content = base64.b64encode(id_.encode()).decode()
    made = {"resourceType": "Binary", "id": id_, "contentType": "text/plain", "data": content, **more}
    return made if named is None else made | {"securityContext": named}


def stored(fhir, *resources):
    for one in resources:
        answer = fhir.put(f"{one['resourceType']}/{one['id']}", one)
        assert answer.status in (200, 201), answer.content


def shown(answer) -> set[str]:
    """Return the ids of the Binaries in an answer, wherever in it they are."""
    assert answer.status == 200, answer.content
    found, stack = set(), [answer.json]
    while stack:
        one = stack.pop()
        if isinstance(one, dict):
            if one.get("resourceType") == "Binary":
                found.add(one["id"])
            stack.extend(one.values())
        elif isinstance(one, list):
            stack.extend(one)
    return found


def tag(code: str) -> dict[str, Any]:
    return {"meta": {"tag": [{"code": code}]}}


@pytest.fixture
def settings(settings):
    return replace(settings, base_url="https://hie.example/fhir")


@pytest.fixture
def people(fhir):
    stored(fhir, patient(id="m", gender="male"), patient(id="f", gender="female"))
    return fhir


@pytest.fixture
def world(people):
    """Three Binaries, two of them somebody's; and what leads to all of them."""
    stored(people, binary("hers", "Patient/f", **tag("a")), binary("his", "Patient/m", **tag("a")),
           binary("free", **tag("a")))  # fmt: skip
    names = ("hers", "his", "free")
    stored(people, *({"resourceType": "Task", "id": name, "status": "requested", "intent": "order",
                      "focus": {"reference": f"Binary/{name}"}} for name in names))  # fmt: skip
    stored(people,
           {"resourceType": "DocumentReference", "id": "d", "status": "current", "subject": {"reference": "Patient/m"},
            "content": [{"attachment": {"url": f"Binary/{name}"}} for name in names]},
           {"resourceType": "List", "id": "l", "status": "current", "mode": "working",
            "entry": [{"item": {"reference": f"Binary/{name}"}} for name in names]},
           {"resourceType": "Composition", "id": "c", "status": "final", "type": {"text": "x"}, "date": "2024-01-01",
            "author": [{"reference": "Patient/m"}], "title": "x", "subject": {"reference": "Patient/m"},
            "section": [{"title": "s", "entry": [{"reference": f"Binary/{name}"} for name in ("his", "free")]}]},
           )  # fmt: skip
    return people


def reads(now: str) -> list[str]:
    """Return the ways to one Binary, each with {id}."""
    graphql = quote("{ id contentType }")
    return ["Binary/{id}", "Binary/{id}/_history/1", "Binary/{id}/_history", "Binary/{id}?_elements=contentType",
            f"Binary/{{id}}?_asOf={now}", "Binary/{id}/$meta", f"Binary/{{id}}/$graphql?query={graphql}"]  # fmt: skip


def searches(now: str) -> list[str]:
    """Return the ways to many, each with how many of all three it shows where all are seen, if not three."""
    graphql = quote("{ BinaryList(_tag: \"a\") { resourceType id } }")
    whole = quote("{ TaskList { focus { resource { resourceType ... on Binary { id } } } } }")
    return [
        "Binary", "Binary?_tag=a", "Binary?_id=hers,his,free", "?_type=Binary", "?_type=Binary,Patient", "?_tag=a",
        "Binary?_sort=-_lastUpdated", "Binary?_lastUpdated=gt2020", "Binary/_history", "_history?_count=100",
        f"Binary?_asOf={now}", f"Binary?_tag=a&_asOf={now}", f"?_type=Binary&_asOf={now}", f"Binary/_history?_at={now}",
        "Task?_include=Task:focus", f"Task?_include=Task:focus&_asOf={now}", "Binary?_has:Task:focus:status=requested",
        "Binary?_list=l", "Binary?_tag:not=b", "Binary?_sort=-_id", "Patient/m/$everything",
        f"Patient/m/$everything?_asOf={now}", f"$graphql?query={graphql}", f"$graphql?query={whole}",
        "Binary?_total=accurate&_count=1", "Binary?_total=estimate", "Binary?_tag=a&_summary=count",
        "Task?focus:Binary._tag=a&_summary=count", "?_tag=a&_summary=count", "Binary?_summary=count",
        "Binary?_tag=a&_total=accurate&_count=1",
    ]  # fmt: skip


@pytest.mark.proves("security:securityContext")
def test_one_is_found_by_whom_its_context_is_and_nowhere_else(client, world):
    narrow, other, names = client(*SCOPES), client("system/Binary.rs"), ("hers", "his", "free")
    for url in reads(instant(world)):
        seen = [[one.get(url.format(id=name)).status for name in names] for one in (world, narrow, other)]
        assert seen == [[200] * 3, [404, 200, 200], [404, 404, 200]], url
        hidden, absent = (narrow.get(url.format(id=name)) for name in ("hers", "none"))
        assert hidden.content.replace(b"hers", b"none") == absent.content
    for one, told in ((narrow, [404, 200, 200]), (other, [404, 404, 200])):
        assert [one.get(f"Binary/{name}", Accept="*/*").status for name in names] == told
        assert [one.get(f"Binary/{name}/_history/1", Accept="*/*").status for name in names] == told
    assert narrow.get("Binary/his", Accept="text/plain").content == b"his"


def instant(fhir) -> str:
    return str(fhir.put("Basic/now", {"resourceType": "Basic", "id": "now", "code": {"text": "x"}}).json["meta"][
        "lastUpdated"])  # fmt: skip


@pytest.mark.proves("security:securityContext")
def test_of_many_those_are_found_whose_context_is(client, world):
    narrow, other = client(*SCOPES), client("system/Binary.rs", "system/Task.rs", "system/List.rs")
    now = instant(world)
    for url in searches(now):
        whole, some = world.get(url), narrow.get(url)
        if "_summary=count" in url:
            assert (whole.json["total"] - some.json["total"], whole.status) == (1, 200), url
        elif re.search(r"_count=1(&|$)", url):
            assert (whole.json["total"], some.json["total"]) == (3, 2), url
        else:
            assert (shown(whole), shown(some)) == ({"hers", "his", "free"}, {"his", "free"}), url
        if url.startswith("Binary") or "_type=Binary&" in url:
            assert (whole.json["total"], some.json["total"], other.get(url).json["total"]) == (3, 2, 1), url
    pages, url = [], "Binary?_count=1"
    while url:
        page = narrow.get(url)
        pages.append(*shown(page))
        url = (page.link("next") or "").removeprefix("https://hie.example/fhir/")
    assert sorted(pages) == ["free", "his"]
    assert shown(narrow.get("Composition/c/$document")) == {"his", "free"}
    inside = [entry("GET", url) for url in ("Binary/hers", "Binary/his", "Binary?_tag=a", "Binary/hers/_history")]
    answers = narrow.post("", bundle(*inside, type_="batch")).entries()
    assert [one["response"]["status"][:3] for one in answers] == ["404", "200", "200", "404"]
    assert answers[2]["resource"]["total"] == 2


def test_searches_of_what_is_contained_ask_the_context_too(client, people):
    def document(id_: str, of: str) -> dict[str, Any]:
        held = binary("x", of, **tag("q"))
        return {"resourceType": "DocumentReference", "id": id_, "status": "current", "contained": [held], "content": [
            {"attachment": {"title": "x"}}], "context": {"related": [{"reference": "#x"}]}}  # fmt: skip

    stored(people, document("1", "Patient/m"), document("2", "Patient/f"))
    narrow = client(*SCOPES)
    for kind in ("contained", "container"):
        url = f"Binary?_contained=true&_containedType={kind}&_tag=q&_total=accurate"
        assert (people.get(url).json["total"], narrow.get(url).json["total"]) == (2, 1), kind
    chain = "DocumentReference?related:Binary._tag=q"
    assert (people.total(chain), narrow.total(chain)) == (2, 1)


def test_a_document_that_would_lack_a_hidden_binary_is_not_made(client, world):
    composition = world.get("Composition/c").json
    composition["section"][0]["entry"].append({"reference": "Binary/hers"})
    stored(world, composition)
    hidden = client(*SCOPES).get("Composition/c/$document")
    assert (world.get("Composition/c/$document").status, hidden.status) == (200, 422)
    assert b"aGVycw" not in hidden.content


# ---- writing ---------------------------------------------------------------------------------------------------------

PATCH = [{"op": "replace", "path": "/contentType", "value": "text/html"}]
WRITES: list[tuple[str, str, Any, dict[str, str]]] = [
    ("PUT", "Binary/{id}", binary("{id}", "Patient/m"), {}),
    ("PUT", "Binary/{id}", binary("{id}"), {}),
    ("PATCH", "Binary/{id}", PATCH, JSON_PATCH),
    ("DELETE", "Binary/{id}", None, {}),
    ("POST", "Binary/{id}/$meta-add", {"resourceType": "Parameters", "parameter": [
        {"name": "meta", "valueMeta": {"tag": [{"code": "b"}]}}]}, {}),
]  # fmt: skip


@pytest.mark.proves("security:securityContext")
def test_what_is_hidden_is_changed_as_little_as_what_conditions_hide(client, people):
    by_context = client("system/Binary.cruds", "system/Patient.cruds?gender=male")
    by_tag = client("system/Binary.cruds?_tag:not=b", "system/Patient.cruds?gender=male")

    def answer(one, case, id_):
        method, url, body, headers = case
        content = json.loads(json.dumps(body).replace("{id}", id_))
        found = one(method, url.replace("{id}", id_), content, **headers)
        return found.status, CHANGING.sub("~", found.content.decode()).replace(f"/{id_}", "/ID")

    for case in WRITES:
        stored(people, binary("hers", "Patient/f"), binary("b", **tag("b")), binary("his", "Patient/m"))
        assert answer(by_context, case, "hers") == answer(by_tag, case, "b"), case
        assert answer(by_context, case, "his")[0] == 200, case
    assert people.get("Binary/hers", Accept="application/fhir+json").vid == "1"


def test_conditions_of_writes_find_nothing_hidden(client, people):
    stored(people, binary("hers", "Patient/f", **tag("a")))
    narrow = client(*SCOPES)
    fresh = binary("x", "Patient/m", **tag("b"))
    assert narrow.post("Binary", fresh, If_None_Exist="_tag=a").status == 201
    assert narrow.put("Binary?_tag=a", binary("new")).status == 201
    assert narrow("PATCH", "Binary?_tag=a", PATCH, **JSON_PATCH).status == 404
    assert b"nothing was deleted" in narrow.delete("Binary?_tag=a").content
    made = bundle(post(binary("y", "Patient/m", **tag("c"))), post(binary("z", **tag("a")), ifNoneExist="_tag=a"))
    assert [one["response"]["status"][:3] for one in narrow.post("", made).entries()] == ["201", "201"]
    assert people.get("Binary/hers", Accept="application/fhir+json").vid == "1"


CONTEXTS = {
    "hidden": ("Patient/f", 400),
    "hidden, in a version": ("Patient/f/_history/1", 400),
    "hidden, by the server's own address": ("https://hie.example/fhir/Patient/f", 400),
    "hidden Binary": ("Binary/hers", 400),
    "not there": ("Patient/none", 400),
    "seen": ("Patient/m", 201),
    "seen Binary": ("Binary/his", 201),
    "on another server": ("http://elsewhere.org/fhir/Patient/1", 201),
}


def test_a_hidden_context_is_named_as_little_as_one_that_is_not_there(client, people):
    stored(people, binary("hers", "Patient/f"), binary("his", "Patient/m"), binary("own"))
    registering = client("system/Binary.cruds", "system/Patient.c", "system/Patient.rs?gender=male")
    for one, (context, status) in itertools.product((client(*SCOPES), registering), CONTEXTS.values()):
        raw = one.post("Binary", b"x", Content_Type="text/plain", X_Security_Context=context)
        assert [one.post("Binary", binary("x", context)).status, raw.status] == [status] * 2
        assert one.put("Binary/own", binary("own", context)).status == (400 if status == 400 else 200)
        made = one.post("", bundle(post(binary("x", context))))
        assert made.status == (400 if status == 400 else 200)
        if status == 400:
            raw.refused(400, "not-found", text="does not exist here")
        stored(people, binary("own"))


def test_who_reads_nothing_of_a_type_may_name_it_and_not_see_it(client, people):
    sender = client("system/Binary.crus")
    made = sender.post("Binary", binary("x", "Patient/f"))
    assert (made.status, sender.get(f"Binary/{made.id}").status, sender.total("Binary")) == (201, 404, 0)
    sender.put(f"Binary/{made.id}", binary(made.id)).refused(403, "forbidden")
    feed = client("system/*.cud")
    assert feed.put(f"Binary/{made.id}", binary(made.id, "Patient/m")).status == 200
    assert client("system/*.c").post("Binary", binary("x", "Patient/f")).status == 201


def test_a_hidden_binary_is_referred_to_as_little_as_one_that_is_not_there(client, world):
    task = {"resourceType": "Task", "status": "requested", "intent": "order"}
    narrow = client(*SCOPES)
    told = [narrow.post("Task", task | {"focus": {"reference": f"Binary/{name}"}}) for name in ("hers", "none", "his")]
    assert [one.status for one in told] == [400, 400, 201]
    assert CHANGING.sub("~", told[0].content.decode()).replace("hers", "none") == CHANGING.sub(
        "~", told[1].content.decode())  # fmt: skip


def test_what_a_transaction_stores_may_be_the_context_that_it_names(client, people):
    narrow, new = client(*SCOPES), "urn:uuid:11111111-1111-1111-1111-111111111111"
    made = bundle(post(patient(gender="male"), new), post(binary("x", new)))
    answer = narrow.post("", made)
    assert answer.status == 200
    location = answer.entries()[1]["response"]["location"].partition("/_history")[0].partition("/fhir/")[2]
    assert narrow.get(location).status == 200
    assert client("system/Binary.rs").get(location).status == 404


def test_a_context_may_go_with_the_binaries_that_name_it(client, people, clean):
    narrow = client(*SCOPES)
    people.put("Patient/f", patient(id="f", gender="female"))
    for number in range(2):
        stored(people, patient(id="x", gender="male"), binary("a", "Patient/x"), binary("b", "Patient/x"))
        if number:
            assert narrow.delete("Patient/x?_cascade=delete").status == 200
        else:
            gone = [entry("DELETE", place) for place in ("Patient/x", "Binary/a")]
            assert narrow.post("", bundle(*gone, entry("PUT", "Binary/b", binary("b")))).status == 200
            assert narrow.get("Binary/b").status == 200
        assert people.get("Patient/x").status == 410
    stored(people, binary("b", "Patient/f"))
    moved = bundle(entry("PUT", "Patient/m", patient(id="m", gender="male", active=True)),
                   entry("DELETE", "Binary/b"))  # fmt: skip
    assert narrow.post("", moved).status == 200
    assert people.get("Binary/b").status == 200
    assert clean()


def test_content_in_its_own_format_leaves_the_context_as_it_was(client, people):
    """Who sends a new picture without the header does not open it to everybody."""
    stored(people, binary("b", "Patient/f"))
    writing = client("system/Binary.u", "system/Patient.u")
    for one, content in ((people, b"one"), (writing, b"two"), (writing, b"two")):
        assert one.put("Binary/b", content, Content_Type="text/plain").status == 200
        assert people.get("Binary/b", Accept="application/fhir+json").json["securityContext"] == {
            "reference": "Patient/f"}  # fmt: skip
    assert people.get("Binary/b").vid == "3"
    assert client(*SCOPES).get("Binary/b").status == 404
    assert people.put("Binary/b", b"x", Content_Type="text/plain", X_Security_Context="Patient/m").status == 200
    assert client(*SCOPES, name="again").get("Binary/b", Accept="text/plain").content == b"x"
    stored(people, binary("b"))
    assert client("system/Binary.rs").get("Binary/b").status == 200


# ---- what a context may be -------------------------------------------------------------------------------------------

KINDS: dict[str, tuple[Any, bool]] = {
    "a resource": ("Patient/m", True),
    "a version of it": ("Patient/m/_history/1", True),
    "the server's own address": ("https://hie.example/fhir/Patient/m", True),
    "its own address and a version": ("https://hie.example/fhir/Patient/m/_history/1", True),
    "a hidden one's version": ("Patient/f/_history/1", False),
    "another server's address": ("http://elsewhere.org/fhir/Patient/m", False),
    "an identifier alone": ({"identifier": {"system": "urn:x", "value": "1"}}, False),
    "words alone": ({"display": "Patient m"}, False),
    "a Binary without a context": ("Binary/free", True),
    "a Binary with one that is seen": ("Binary/his", True),
    "a Binary with one that is hidden": ("Binary/hers", False),
    "a Binary that names one that names one": ("Binary/second", False),
    "itself": ("Binary/own", False),
    "a type without a scope": ("Observation/o", False),
}


def test_what_is_no_resource_here_that_the_token_sees_closes_a_binary(client, people, clean):
    stored(people, observation("Patient/m", id="o"), binary("free"), binary("his", "Patient/m"),
           binary("hers", "Patient/f"), binary("second", "Binary/his"), binary("own"))  # fmt: skip
    narrow, reader = client("system/Binary.rs", "system/Patient.rs?gender=male"), client("system/*.r")
    for kind, (context, is_seen) in KINDS.items():
        stored(people, binary("own", context))
        assert narrow.get("Binary/own").status == (200 if is_seen else 404), kind
        assert narrow.total("Binary?_id=own") == is_seen, kind
        assert ("own" in shown(narrow.get("?_type=Binary,Patient"))) == is_seen, kind
        assert [one.get("Binary/own").status for one in (people, reader)] == [200, 200], kind
    assert clean()


#: scopes -> which of three Binaries are seen: of Patient/m (male, tagged a), of Patient/f (female, tagged b), nobody's
GRANTS = {
    "system/*.rs": {"his", "hers", "free"},
    "system/Binary.rs system/Patient.r": {"his", "hers", "free"},
    "system/Binary.rs system/Patient.s": {"his", "hers", "free"},
    "system/Binary.rs system/*.rs?_tag=a": {"his", "free"},
    "system/*.rs?_tag=b": set(),
    "system/Binary.rs system/Patient.rs?_tag=b system/Observation.rs": {"hers", "free"},
    "system/Binary.rs system/*.rs?_tag:not=b": {"his", "free"},
    "system/Binary.rs system/Patient.rs?_tag:not=b&gender=male": {"his", "free"},
    "system/Binary.rs system/Patient.rs?_id=f": {"hers", "free"},
    "system/Binary.rs system/Patient.rs?gender=male system/Patient.r?_id=f": {"his", "hers", "free"},
    "system/Binary.rs system/Patient.rs?birthdate:missing=false": {"his", "hers", "free"},
    "system/Binary.rs?_tag=x system/Patient.rs": {"hers"},
    "system/Binary.rs system/Patient.cud": {"free"},
    "system/Binary.rs system/*.cud": {"free"},
    "system/Binary.rs": {"free"},
}


def test_every_kind_of_scope_decides_of_contexts_as_of_what_they_are(client, fhir):
    stored(fhir, patient(id="m", gender="male", **tag("a")), patient(id="f", gender="female", **tag("b")),
           binary("his", "Patient/m"), binary("hers", "Patient/f", **tag("x")), binary("free"))  # fmt: skip
    for scopes, expected in GRANTS.items():
        one = client(*scopes.split())
        by_id = {name for name in ("his", "hers", "free") if one.get(f"Binary/{name}").status == 200}
        assert by_id == expected, scopes
        assert shown(one.get("Binary")) == shown(one.get("?_type=Binary")) == expected, scopes
        assert shown(one.get("Binary/_history")) == expected, scopes


# ---- time ------------------------------------------------------------------------------------------------------------


def test_a_version_is_shown_where_what_it_named_is_and_what_the_binary_names_now(client, people):
    narrow, shut = client(*SCOPES), client("system/Binary.rs", "system/Patient.rs?gender=female")
    stored(people, binary("b", "Patient/f"), binary("b"), binary("b", "Patient/m"))
    versions = [people.get(f"Binary/b/_history/{number}", Accept="application/fhir+json").json for number in (1, 2, 3)]
    then = [one["meta"]["lastUpdated"] for one in versions]
    for one, seen in ((narrow, [404, 200, 200]), (shut, [404] * 3)):
        assert [one.get(f"Binary/b/_history/{number}").status for number in (1, 2, 3)] == seen
        assert [one.get(f"Binary/b?_asOf={at}").status for at in then] == seen
        assert [len(shown(one.get(f"Binary?_asOf={at}"))) for at in then] == [status == 200 for status in seen]
        for url in ("Binary/_history", "_history?_count=100"):
            told = [row["resource"]["meta"]["versionId"] for row in one.get(url).entries()
                    if row["resource"]["resourceType"] == "Binary"]  # fmt: skip
            assert told == [str(number) for number in (3, 2, 1) if seen[number - 1] == 200]
    assert len(narrow.get("Binary/b/_history").entries()) == 2
    assert shut.get("Binary/b/_history").status == 404


def test_a_context_that_changes_or_goes_opens_and_closes(client, people, clean):
    stored(people, patient(id="x", gender="female"), binary("b", "Patient/x"), binary("old", "Patient/x"))
    narrow = client(*SCOPES)
    assert narrow.get("Binary/b").status == 404
    stored(people, patient(id="x", gender="male"))
    assert (narrow.get("Binary/b").status, narrow.get("Binary/old/_history/1").status) == (200, 200)
    stored(people, binary("old"))
    people.delete("Patient/x").refused(409, "conflict")
    assert narrow.get("Binary/old/_history/1").status == 200
    assert people.delete("Binary/b").status == 200
    assert narrow.get("Binary/b").status == 410
    assert people.delete("Patient/x").status == 200
    assert [narrow.get(url).status for url in ("Binary/b", "Binary/old/_history/1", "Binary/old")] == [404, 404, 200]
    assert clean()


def test_who_saw_a_binary_is_told_that_it_was_deleted_and_nobody_else(client, people):
    stored(people, binary("his", "Patient/m"), binary("hers", "Patient/f"), binary("free"))
    for name in ("his", "hers", "free"):
        assert people.delete(f"Binary/{name}").status == 200
    narrow, other = client(*SCOPES), client("system/Binary.rs")
    for one, told in ((people, [410] * 3), (narrow, [410, 404, 410]), (other, [404, 404, 410])):
        assert [one.get(f"Binary/{name}").status for name in ("his", "hers", "free")] == told
        histories = [one.get(f"Binary/{name}/_history").status for name in ("his", "hers", "free")]
        assert histories == [200 if status == 410 else 404 for status in told]
        for url in ("Binary/_history", "_history?_count=100"):
            deleted = {row["request"]["url"] for row in one.get(url).entries() if row["request"]["method"] == "DELETE"}
            assert len(deleted) == told.count(410), url
    assert narrow.put("Binary/hers", binary("hers")).status == 201


def test_what_a_token_gets_is_the_same_before_and_after_a_hidden_binary_came_changed_and_went(client, world):
    assert world.delete("Task/hers").status == 200
    stored(world, world.get("List/l").json | {"entry": [{"item": {"reference": "Binary/his"}}]})
    attachment = {"content": [{"attachment": {"url": "Binary/his"}}]}
    stored(world, world.get("DocumentReference/d").json | attachment)
    assert world.delete("Binary/hers").status == 200
    narrow, now = client(*SCOPES), instant(world)
    urls = [*(one.format(id="secret") for one in reads(now)), *searches(now), "Binary?_count=1&_sort=_id", "$meta",
            "Binary/$meta", "Binary/secret/$diff", "Binary?_revinclude=Task:focus"]  # fmt: skip

    def told() -> list[tuple[int, str]]:
        answers = [narrow.get(url) for url in urls]
        return [(one.status, CHANGING.sub("~", one.content.decode())) for one in answers]

    before = told()
    stored(world, binary("secret", "Patient/f", **tag("a")))
    assert told() == before
    stored(world, binary("secret", "Patient/f", **tag("b")), binary("aaa", "Patient/f", **tag("a")))
    assert told() == before
    assert world.delete("Binary/secret").status == 200
    assert told() == before


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_a_media_of_a_hidden_image_is_none(client, people):
    """Its judgement would be read where the image may not be."""
    from tests.pictures import encoded, ramp

    content = base64.b64encode(encoded(ramp())).decode()
    stored(people, binary("hers", "Patient/f") | {"contentType": "image/png", "data": content})
    media = {"resourceType": "Media", "status": "completed", "subject": {"reference": "Patient/m"},
             "content": {"contentType": "image/png", "url": "Binary/hers"}}
    narrow = client(*SCOPES, "system/Media.cruds", "system/Observation.cruds", "system/DiagnosticReport.cruds")
    hidden, absent = (narrow.post("Media", media | {"content": {"contentType": "image/png", "url": f"Binary/{name}"}})
                      for name in ("hers", "none"))
    assert hidden.status == absent.status == 400
    assert CHANGING.sub("~", hidden.content.decode()).replace("hers", "none") == CHANGING.sub(
        "~", absent.content.decode())  # fmt: skip
    made = people.post("Media", media).id
    labelled = people.get(f"Media/{made}").json | tag("a")
    assert narrow.put(f"Media/{made}", labelled).status == 200  # what was judged already is not asked for again
    narrow.post(f"Media/{made}/$diagnose", {"resourceType": "Parameters"}).refused(404, "not-found")

"""Tokens whose scopes are for all types, each with several conditions: system/*.rs?_tag=a&_tag:not=b"""

import pytest

from hie.fhir.instants import instant
from tests.builders import bundle, observation, patient, put

A, B, N = {"system": "urn:t", "code": "a"}, {"system": "urn:t", "code": "b"}, {"system": "urn:t", "code": "n"}
METAS = {"a": {"tag": [A]}, "ab": {"tag": [A, B]}, "an": {"tag": [A], "security": [N]}, "n": {"security": [N]},
         "bn": {"tag": [B], "security": [N]}, "none": {"profile": ["http://p"]}}  # fmt: skip


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.parametrize(
    ("scopes", "seen"),
    [
        (["system/*.rs?_tag=a&_tag:not=b"], "a an"),
        (["system/*.rs?_tag=a&_security=n"], "an"),
        (["system/*.rs?_tag:not=a&_tag:not=b"], "n none"),
        (["system/*.rs?_tag=a&_tag:not=b", "system/*.rs?_security=n&_security:not=r"], "a an bn n"),
        (["system/*.rs?_tag=a&_tag:not=b", "system/Patient.rs?_security=n&_tag=b&_tag:not=c"], "a an bn"),
        (["system/*.rs?_tag=a&_tag:not=b", "system/Observation.rs?_security=n&_tag=b"], "a an"),
    ],
)
def test_what_such_a_token_sees_is_the_same_in_every_search(client, fhir, clock, scopes, seen):
    for id_, meta in METAS.items():
        inside = patient(id="p", meta={key: value for key, value in meta.items() if key != "security"} or None)
        if inside["meta"] is None:
            del inside["meta"]
        assert fhir.put(f"Patient/{id_}", patient(id=id_, meta=meta)).status == 201
        assert fhir.put(f"Observation/{id_}", observation("#p", id=id_, meta=meta, contained=[inside])).status == 201
    token, now = client(*scopes), instant(clock())
    clock.forward(10)
    for asked in ("Patient?", "?_type=Patient&", "?_type=Patient,Group&", "?_not-referenced=*:*&_type=Patient&"):
        for more in ("", f"&_asOf={now}"):
            answer = token.get(f"{asked}_sort=_id{more}")
            assert (answer.status, [one["id"] for one in answer.resources()]) == (200, seen.split()), (asked, more)
    # What stands in one another here was more conditions than SQLite takes in one statement.
    contained = [token.get(f"{asked}_contained=true&_containedType=contained{more}")
                 for asked in ("Patient?", "?") for more in ("", f"&_asOf={now}")]
    assert [answer.status for answer in contained] == [200] * 4
    assert len({tuple(row["fullUrl"] for row in answer.entries()) for answer in contained}) == 1


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_what_is_on_several_pages_with_what_it_contains_is_counted_as_of_an_instant(client, fhir, clock):
    """Its statement nested deeper than SQLite's parser goes."""
    assert fhir.post("", bundle(*(put(observation("#p", id=f"o{n}", meta={"tag": [A]}, contained=[patient(id="p")]))
                                  for n in range(6)))).status == 200
    now = instant(clock())
    clock.forward(10)
    for scope in ("system/*.rs?_tag=a", "system/*.rs?_tag=a&_tag:not=b&_security:not=r"):
        token = client(scope, "system/Patient.rs?gender:not=male")
        for total in ("accurate", "estimate"):
            answer = token.get(f"?_contained=both&_count=2&_total={total}&_asOf={now}")
            assert (answer.status, answer.json["total"]) == (200, 6)

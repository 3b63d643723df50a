"""`hie follow`: what another server answers is not trusted, and what goes wrong on the way loses nothing."""

from __future__ import annotations

import gzip

import pytest

from hie.commands import connection
from hie.commands.connection import ExchangeError
from hie.commands.following import source
from tests.builders import patient
from tests.conformance.follow.conftest import ALL, numbers, one_database
from tests.sources import Source, outcome, page, serving, told

# ---- what is not to be trusted ---------------------------------------------------------------------------------------


@one_database
def test_a_page_at_another_origin_is_not_asked_for(run, fake):
    other = Source()
    with serving(other):
        for elsewhere in (f"{other.origin}/fhir/_history", "http://169.254.169.254/", "file:///etc/passwd",
                          f"http://me:secret@127.0.0.1:{fake.server_port}/fhir/x", "//other.example/fhir", "http://[x"):
            fake.routes["/fhir/_history"] = page(following=elsewhere)
            with pytest.raises(ExchangeError, match="of another origin"):
                run(fake.url, headers={"Authorization": "Bearer there"})
    assert other.asked == []


@one_database
@pytest.mark.parametrize("following", ["https://inside:8443/r4?_getpages=7", "https://inside:8443/r4/p2?n=7"])
def test_pages_of_a_server_behind_a_proxy_are_asked_for_where_it_is(run, fake, fhir, following):
    fake.routes["/fhir/_history"] = page(told("Patient/a", 2, patient("Two"), second=2), following=following,
                                         itself="https://inside:8443/r4/_history?_count=500")
    fake.routes["/fhir?_getpages=7"] = fake.routes["/fhir/p2?n=7"] = page(told("Patient/a", 1, patient(), second=1))
    assert run(fake.url, headers={"Authorization": "Bearer there"}).sent.stored == 2
    fake.routes["/fhir/_history"] = page(following="https://inside:8443/r45/x", itself="https://inside:8443/r4/_history")
    with pytest.raises(ExchangeError, match="not below what it calls itself"):
        run(fake.url, since=1)


@one_database
def test_a_redirect_is_told_and_not_followed(run, fake):
    other = Source()
    with serving(other):
        fake.routes["/fhir/_history"] = 307, {"Location": f"{other.origin}/fhir/_history"}, b""
        with pytest.raises(ExchangeError, match=rf"307, a redirect to {other.origin}/fhir/_history"):
            run(fake.url, headers={"Authorization": "Bearer there"})
    assert other.asked == []


@one_database
def test_each_server_is_told_its_own_token(run, fake):
    fake.has()
    run(fake.url, headers={"Authorization": "Bearer there", "X-Api-Key": "k"})
    assert {(row["Authorization"], row["X-Api-Key"]) for row in fake.headers} == {("Bearer there", "k")}
    fake.headers.clear()
    run(fake.url)
    assert not any("Authorization" in row for row in fake.headers)


@one_database
@pytest.mark.parametrize(("answer", "text"), [
    ((200, {}, b"<html>"), "answers no JSON"),
    ((200, {}, b'{"resourceType": "Bundle", "type": "history", "type": "x"}'), "answers no JSON"),
    ((200, {}, b"[]"), "answers 'list', where a Bundle of type history"),
    ((200, {}, {"resourceType": "Patient"}), "answers 'Patient', where a Bundle of type history"),
    ((200, {}, {"resourceType": "Bundle", "type": "searchset"}), "where a Bundle of type history"),
    ((200, {"Content-Encoding": "br"}, b"x"), "encoding 'br'"),
    ((200, {"Content-Encoding": "gzip"}, b"no"), "no gzip"),
    ((401, {}, outcome("login", "who are you")), "refuses the token: who are you"),
    ((500, {}, outcome("exception", "oh no")), "answers 500: oh no"),
    ((0, {}, None), "The connection to .* broke"),
])  # fmt: skip
def test_absurd_answers_end_the_poll(run, fake, fhir, answer, text):
    fake.routes["/fhir/_history"] = answer
    with pytest.raises(ExchangeError, match=text):
        run(fake.url)
    assert fhir.total("Patient") == 0


@one_database
@pytest.mark.parametrize("entries", [None, {}, [1], [{}], [{"resource": {"resourceType": "Patient"}}],
                                     [{"request": {"method": "PUT", "url": "Patient/a"}}],
                                     [{"request": {"method": "DELETE", "url": "../../x"}}],
                                     [{"resource": {"resourceType": "Nonsense", "id": "a"}}],
                                     [{"resource": {"resourceType": "Patient", "id": "../b"}}]])  # fmt: skip
def test_absurd_entries_are_told_and_left_out(run, fake, fhir, entries):
    good = told("Patient/good", 1, patient("Good"))
    rows = [*entries, good] if isinstance(entries, list) else entries
    fake.routes["/fhir/_history"] = 200, {}, {"resourceType": "Bundle", "type": "history", "entry": rows}
    poll = run(fake.url)
    assert poll.sent.refusals == (1 if isinstance(entries, list) else 0)
    assert all("refused, left out: " in line and " unreadable: " in line for line in run.said)
    assert fhir.total("Patient") == (1 if isinstance(entries, list) else 0)


@one_database
def test_pages_that_lead_back_or_on_and_on_end(run, fake, monkeypatch):
    fake.routes["/fhir/_history"] = page(following=f"{fake.url}/_history?_count=500&{ALL}")
    with pytest.raises(ExchangeError, match=r"does not end: .* leads back"):
        run(fake.url)
    fake.routes["/fhir/_history"] = lambda path: page(following=f"{fake.url}/_history?n={len(fake.asked)}")
    with pytest.raises(ExchangeError, match=r"does not end: .* leads on and on"):
        run(fake.url)
    assert len(fake.asked) < 110


@one_database
def test_pages_that_are_too_large_are_asked_for_by_fewer_versions(run, fake, fhir, monkeypatch):
    monkeypatch.setattr(source, "LARGEST_PAGE", 4_000)
    packed = gzip.compress(b" " * 10_000_000)
    for count in (500, 62):
        fake.routes[f"/fhir/_history?_count={count}&{ALL}"] = 200, {"Content-Encoding": "gzip"}, packed
    fake.routes[f"/fhir/_history?_count=7&{ALL}"] = page(told("Patient/a", 1, patient("One")))
    assert run(fake.url).sent.stored == 1
    fake.routes["/fhir/_history"] = 200, {}, b" " * 1_000_000
    with pytest.raises(ExchangeError, match="answers more than 0 MB at once"):
        run(fake.url, since=1_000_000)


# ---- what goes wrong on the way --------------------------------------------------------------------------------------


@one_database
def test_a_busy_source_is_left_alone_as_long_as_it_asks_for(run, fake, fhir, monkeypatch):
    pauses: list[float] = []
    monkeypatch.setattr(connection.Connection, "pause", lambda self, seconds: pauses.append(seconds))
    fake.routes["/fhir/_history"] = [(429, {"Retry-After": "7"}, b""), (503, {"Retry-After": "9999"}, b""),
                                     page(told("Patient/a", 1, patient("One")))]
    assert run(fake.url).sent.stored == 1
    assert [pause for pause in pauses if pause > 1] == [7.0, 300.0]


@one_database
def test_a_history_whose_page_is_lost_is_read_anew(run, fake, fhir):
    first = page(told("Patient/a", 2, patient("Two"), second=2), following=f"{fake.url}/p2")
    fake.routes["/fhir/_history"] = first
    fake.routes["/fhir/p2"] = [(410, {}, outcome("expired", "gone")), (0, {}, None),
                               page(told("Patient/a", 1, patient("One"), second=1))]
    assert run(fake.url).sent.stored == 2
    assert numbers(fhir, "Patient/a") == ["Two", "One"]
    fake.routes["/fhir/p2"] = 410, {}, outcome("expired", "gone")
    with pytest.raises(ExchangeError, match="p2 answers 410: gone"):
        run(fake.url, since=1)


@one_database
def test_nothing_is_sent_before_the_last_page(run, fake, fhir):
    fake.routes["/fhir/_history"] = page(told("Patient/a", 2, patient("Two")), following=f"{fake.url}/p2")
    fake.routes["/fhir/p2"] = 403, {}, outcome("forbidden", "no")
    with pytest.raises(ExchangeError, match="p2 answers 403: no"):
        run(fake.url)
    assert fhir.total("Patient") == 0

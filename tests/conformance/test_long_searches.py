"""Searches that no URL holds come by POST, and so do their further pages: https://hl7.org/fhir/R4/http.html#search"""

import base64

from hie.fhir import routes
from tests.builders import bundle, entry, observation

FORM = "application/x-www-form-urlencoded"
CODE = "http://loinc.org|8867-4"
LONG = ",".join([CODE, *(f"http://example.org/{'x' * 300}|{number}" for number in range(300))])


def outcomes(answer):
    return [row["resource"] for row in answer.entries() if row["search"]["mode"] == "outcome"]


def test_pages_whose_links_are_too_long_for_a_url_are_walked_by_post(fhir):
    made = {fhir.create(observation(value=number))["id"] for number in range(5)}
    form, found, pages = f"_count=2&code={LONG}", [], 0
    while form:
        page = fhir("POST", "Observation/_search", form, Content_Type=FORM)
        matches = [row for row in page.entries() if row["search"]["mode"] == "match"]
        found += [row["resource"]["id"] for row in matches]
        pages += 1
        following = page.link("next")
        (told,) = outcomes(page)
        (issue,) = told["issue"]
        assert (issue["severity"], issue["code"], issue["expression"]) == ("warning", "too-long", ["Bundle.link"])
        assert "as the form of a POST to _search" in issue["diagnostics"]
        form = following.partition("?")[2] if following else ""
    assert (sorted(found), pages) == (sorted(made), 3)


def test_nothing_is_told_of_links_that_a_url_holds_nor_of_a_page_without_links(fhir):
    for number in range(3):
        fhir.create(observation(value=number))
    short = fhir("POST", "Observation/_search", f"_count=2&code={CODE}", Content_Type=FORM)
    assert (outcomes(short), short.link("next") is not None) == ([], True)
    whole = fhir("POST", "Observation/_search", f"_count=9&code={LONG}", Content_Type=FORM)
    assert (outcomes(whole), len(whole.entries())) == ([], 3)


def test_a_form_that_is_longer_than_any_search_is_refused_before_it_is_read(fhir, monkeypatch):
    fhir.create(observation(value=1))
    monkeypatch.setattr(routes, "MOST_OF_A_FORM", 1_000)
    short, long = (f"code={CODE},{'x' * count}" for count in (900, 1_000))
    assert fhir("POST", "Observation/_search", short, Content_Type=FORM).json["total"] == 1
    fhir("POST", "Observation/_search", long, Content_Type=FORM).refused(413, "too-long", text="1000 bytes")
    carried = [{"resourceType": "Binary", "contentType": FORM, "data": base64.b64encode(one.encode()).decode()}
               for one in (short, long)]
    answer = fhir.post("", bundle(*[entry("POST", "Observation/_search", one) for one in carried], type_="batch"))
    assert [row["response"]["status"][:3] for row in answer.entries()] == ["200", "413"]

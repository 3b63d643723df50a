"""Who comes from another server: its own parameters and operations are refused with what does the same here."""

import pytest

from tests.builders import bundle, entry, observation, patient

LENIENT = {"Prefer": "handling=lenient"}
ERASED = "DELETE [type]/[id]/_history"
pytestmark = pytest.mark.parametrize("database_kind", ["sqlite"])


def test_a_parameter_of_another_server_is_refused_with_what_is_meant(fhir):
    """The parameter that is spelled nearest to it was named: `_id` for `_fields`, `deceased` for `_deleted`."""
    for asked, here in {
        "Patient?_fields=name": "_elements", "Patient?_compartment=Patient/1": "Patient/[id]/Observation",
        "Patient?_includeDeleted=true": "_history",
        "Patient?_deleted=true": "_history", "Patient?_project=x": "tenant", "Patient?_explain=1": "$explain",
        "Patient?__explain=true": "$explain", "Patient?_totalMethod=count": "_total", "Patient?_ilike=x": ":contains",
        "Patient?_with=organization": "_include", "Patient?_includesCount=5": "_count", "Patient?_in=Group/1": "_list",
        "Patient?_maxresults=5": "_count", "Patient?limit=5": "_count",
        "Patient?_language=en": "SearchParameter", "Patient?hardDelete=true": ERASED,
        "Patient?_sort=birthdate:desc": "-birthdate", "Patient?birthdate:ge=1970": "birthdate=ge",
        "_history?_before=2030": "_at=lt", "_history?_excludeTransactionTimeoutWindow=true": "_since",
        "Patient/1/_history?_page=2": "link next",
        "Patient?_score=1": "_sort=_score",
        "Patient?_at=2024": "_asOf",
        "Patient?_query-latency=x": "It has: _id", "Observation?subject:Patient._type=Patient": "subject:Patient",
    }.items():  # fmt: skip
        answer = fhir.get(asked)
        told = answer.json["issue"][0]["diagnostics"]
        assert (answer.status, here in told, "did you mean" in told) == (400, True, False), (asked, told)


def test_what_numbers_pages_elsewhere_is_never_passed_over(fhir):
    """Who asks for page after page until one is empty would read the first one for ever."""
    for name in ("_page", "_getpages", "_skip", "ct", "_continuationToken", "_page_token", "__t", "__page-offset",
                 "page", "offset", "_changeIdMarker"):
        for headers in ({}, LENIENT):
            for asked in ("Patient", "Patient/_history", "_history"):
                fhir.get(f"{asked}?{name}=2", **headers).refused(400, "invalid", name, text="link next")


def test_lenient_handling_tells_what_does_the_same_here(fhir):
    fhir.create(patient())
    told, found = fhir.get("Patient?_fields=name", **LENIENT).resources()
    assert "_elements=" in told["issue"][0]["diagnostics"]
    assert found["resourceType"] == "Patient"


def test_a_deletion_for_good_is_refused_with_how_it_is_asked_for(fhir):
    fhir.put("Patient/1", patient(id="1", identifier="a"))
    for asked in ("Patient/1?hardDelete=true", "Patient/1?_hardDelete=true", "Patient?identifier=a&_hardDelete=true"):
        fhir.delete(asked, **LENIENT).refused(400, "invalid", text=ERASED)
    fhir.delete("Patient?identifier=a&_remove-references=true").refused(400, "invalid", text="_cascade=delete")
    assert fhir.get("Patient/1").status == 200


def test_an_operation_of_another_server_is_told_what_does_the_same_here(fhir):
    for asked, here in {
        "Patient/1/$purge-history": ERASED, "Patient/1/$expunge": ERASED, "Patient/$count": "_summary=count",
        "$totals": "_summary=count",
        "$convert-data": "$convert", "Patient/$search": "GET [type]?", "$perform-reindexing-pass": "$reindex",
        "Binary/1/$binary-access-read": "own format", "$nothing": "the CapabilityStatement lists",
        "Patient/$merge": "Patient.link", "Patient/$hapi.fhir.merge": "Patient.link",
        "$hapi.fhir.replace-references": "transaction of patches", "Patient/$member-match": "Patient/$match",
        "Patient/$mdm-submit": "Patient/$match", "$export-poll-status": "_async/[id]",
        "$hapi.fhir.undo-replace-references": "_history/[vid]", "Patient/$hapi.fhir.undo-merge": "_history/[vid]",
        "$delete-expunge": ERASED, "$hapi.fhir.bulk-patch": "PATCH", "$import": "transaction",
        "ValueSet/$invalidate-expansion": "anew", "$apply-codesystem-delta-add": "CodeSystem",
        "Subscription/$trigger-subscription": "notification",
        "$hapi.fhir.nothing": "the CapabilityStatement lists", "$a_b": "not the name of an operation",
        "Patient/$csv": "_elements=", "$healthcheck": "GET /health",
        "Patient/$bulk-update": "PATCH", "$bulk-delete": "DELETE [type]?", "Patient/$includes": "_include",
        "SearchParameter/$status": "$reindex",
    }.items():  # fmt: skip
        fhir.post(asked).refused(404, "not-found", "http.url", text=here)


def test_an_operation_that_there_is_not_is_not_accepted_for_later(fhir):
    """202 lets them wait for what cannot come."""
    for asked in ("Patient/1/$export", "$import?_outputFormat=ndjson", "Patient/1/$nothing"):
        fhir.get(asked, Prefer="respond-async").refused(404, "not-found", "http.url")
    fhir.get("Patient/1/$meta-add", Prefer="respond-async").refused(405, "not-supported", "http.method")
    assert fhir.get("Patient/1/$everything", Prefer="respond-async").status == 202


def test_who_asks_for_the_number_alone_is_told_it(fhir):
    """As of a history; an answer without it would say nothing at all."""
    fhir.create(patient())
    for asked in ("Patient?_count=0&_total=none", "Patient?_summary=count&_total=none"):
        assert fhir.get(asked).json["total"] == 1
    assert fhir.post("", bundle(entry("GET", asked))).resources()[0]["total"] == 1


def test_the_largest_integer_of_a_client_asks_for_the_largest_page(fhir):
    """As .NET, Java and JavaScript have it; it was refused beyond 999999999, while 999999999 was cut."""
    fhir.create(patient())
    for number in ("2147483647", "9223372036854775807", "9007199254740991", "0" * 5000 + "7", "1" * 5000):
        for asked in ("Patient", "Patient/_history", "_history", "Patient/$everything"):
            answer = fhir.get(f"{asked}?_count={number}")
            assert len(answer.entries()) == 1, (asked, number[:20])
    assert "_count=1000" in fhir.get("Patient?_count=2147483647").link("self")
    for number in ("-1", "1.0", "+1", "1e3", "", "٣"):
        fhir.get(f"Patient?_count={number}").refused(400, "invalid", "_count", text="whole number")


def test_an_estimate_may_be_called_as_clients_of_hapi_call_it(fhir):
    """Their SearchTotalModeEnum has no other word for it."""
    fhir.create(patient())
    for asked in ("Patient?_total=estimated", "Patient/_history?_total=estimated"):
        assert fhir.get(asked).json["total"] == 1
    fhir.get("Patient?_total=estimates").refused(400, "invalid", "_total", text="none, estimate, accurate")


def test_a_search_form_that_is_asked_for_by_get_is_told_the_address_of_the_search(fhir):
    for asked, here in {"Patient/_search?name=x": "GET Patient?", "_search?_type=Patient": "GET [base]?",
                        "Patient/1/Observation/_search?code=x": "GET Patient/1/Observation?",
                        "Patient/1/_search": "GET Patient/1/*?"}.items():  # fmt: skip
        fhir.get(asked).refused(405, "not-supported", "http.method", text=here)


def test_elements_that_name_none_are_refused(fhir):
    fhir.put("Patient/1", patient(id="1"))
    for asked in ("Patient?_elements=", "Patient/1?_elements=", "Patient/1?_elements=,"):
        fhir.get(asked).refused(400, "invalid", "_elements", text="empty")
    fhir.get("Patient?_elements=-name").refused(400, "invalid", "_elements", text="names what is wanted")


def test_all_references_of_all_types_are_included_by_two_stars_as_well(fhir):
    """Microsoft's server writes `*:*`."""
    fhir.put("Patient/1", patient(id="1"))
    fhir.create(observation("Patient/1"))
    for asked in ("Patient?_revinclude=*:*", "Observation?_include=*:*", "Observation?_include:iterate=*:*"):
        assert len(fhir.get(asked).entries()) == 2, asked


def test_a_text_of_a_filter_in_single_quotes_is_told_its_quotes(fhir):
    """Aidbox writes them so; they were taken for part of the text, and everybody was not 'female'."""
    fhir.create(patient(gender="female"))
    for asked in ("gender eq 'female'", "gender ne 'female'", "name co 'smi'", "(name eq 'smith')", "name eq 'a b'"):
        fhir.get(f"Patient?_filter={asked}").refused(400, "invalid", "_filter", text="double quotes")
    assert fhir.total("""Patient?_filter=name ne "'smith'" and gender eq "female\"""") == 1


def test_a_parameter_of_ones_own_may_be_called_as_elsewhere(fhir, work):
    fhir.create({"resourceType": "SearchParameter", "url": "http://example.org/page", "name": "Page",
                 "status": "active", "description": "Page", "code": "page", "base": ["Patient"], "type": "token",
                 "expression": "Patient.maritalStatus"})
    work()
    fhir.create(patient(maritalStatus={"coding": [{"code": "M"}]}))
    assert fhir.total("Patient?page=M") == 1

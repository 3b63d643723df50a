"""Bearer tokens: RFC 6750; every route but the listed ones needs one."""

import pytest

from hie.fhir.routes import ROUTES
from tests.builders import patient
from tests.one_database import ONE_DATABASE

#: What anybody may ask for.
OPEN = {
    "/fhir/metadata", "/health", "/.well-known/smart-configuration", "/fhir/.well-known/smart-configuration",
    "/openapi.json",
}  # fmt: skip


def urls(app):
    """Every rule of the application, with something in each place."""
    for rule in app.url_map.iter_rules():
        path = rule.rule
        for argument in rule.arguments:
            path = path.replace(f"<path:{argument}>", "Patient/1").replace(f"<{argument}>", "1")
            path = path.replace(f"<int:{argument}>", "1")
        for method in sorted((rule.methods or set()) - {"OPTIONS"}):
            yield method, path
    for route in ROUTES:
        path = route.path.replace("[compartment]", "Patient").replace("[type]", "Patient")
        path = path.replace("[id]", "1").replace("[vid]", "1")
        yield route.method, f"/fhir/{path.replace('[operation]', 'everything')}".rstrip("/")


@pytest.mark.proves("security:OAuth")
def test_every_route_but_the_open_ones_needs_a_token(app, nobody):
    found = {(method, path) for method, path in urls(app) if path not in OPEN}
    assert len(found) > len(ROUTES)
    for method, path in sorted(found):
        answer = nobody(method, path)
        assert answer.status == 401, (method, path)
        assert answer.headers["WWW-Authenticate"].startswith("Bearer ")
        if method != "HEAD":
            answer.refused(401, "login")


@ONE_DATABASE
@pytest.mark.proves("security:OAuth")
@pytest.mark.parametrize(
    ("header", "told"),
    [("", ""), ("Basic YTpi", ""), ("Bearer", "invalid_token"), ("Bearer ", "invalid_token"),
     ("Bearer wrong", "invalid_token"), ("bearer hie_x y", "invalid_token"), ("Bearer \xe9", "invalid_token")],
)  # fmt: skip
def test_a_token_that_is_none_is_refused(nobody, header, told):
    """Who names no token at all is told no error of it: https://www.rfc-editor.org/rfc/rfc6750#section-3.1"""
    answer = nobody.get("Patient/1", Authorization=header)
    answer.refused(401, "login")
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="fhir"' + (told and f', error="{told}"')


@ONE_DATABASE
@pytest.mark.proves("security:OAuth")
def test_a_token_that_may_not_is_told_that_its_scope_is_what_it_lacks(client):
    """https://www.rfc-editor.org/rfc/rfc6750#section-3"""
    reader = client("system/Patient.r?_tag=x")
    for answer in (reader.get("Observation/1"), reader.post("Patient", patient()), reader.get("/admin/status")):
        answer.refused(403, "forbidden")
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="fhir", error="insufficient_scope"'


def test_what_metadata_does_not_know_is_told_to_anybody(nobody):
    nobody.get("metadata?_=1700000000").refused(400, "invalid", "http.url", "has no parameter")
    refused = nobody("PUT", "metadata/")
    refused.refused(405, "not-supported", "http.method")
    assert refused.headers["Allow"] == "GET, HEAD, OPTIONS"
    nobody.get("metadata/x").refused(401, "login")


def test_a_wrong_url_is_told_only_to_those_who_have_a_token(nobody, fhir):
    nobody.get("Nothing/1").refused(401, "login")
    fhir.get("Nothing/1").refused(404, "not-supported")


@pytest.mark.proves("security:OAuth")
def test_an_expired_or_revoked_token_is_refused(app, client, clock):
    brief = client("system/*.rs")
    assert brief.get("Patient").status == 200
    clock.forward(10 * 3600 + 1)
    brief.get("Patient").refused(401, "login")


def test_a_token_of_the_administration_opens_no_record(client, fhir):
    id_ = fhir.create(patient())["id"]
    client("admin").get(f"Patient/{id_}").refused(403, "forbidden")


def test_metrics_need_the_scope_admin(client, fhir):
    fhir.get("/metrics").refused(403, "forbidden")
    answer = client("admin").get("/metrics")
    assert answer.status == 200
    assert b"hie_requests_total{" in answer.content


def test_health_tells_nothing_but_that_it_is_well(nobody):
    answer = nobody.get("/health")
    assert (answer.status, answer.json) == (200, {"status": "ok", "database": "ok"})


def test_smart_configuration_promises_only_what_is_there(nobody):
    for url in ("/.well-known/smart-configuration", ".well-known/smart-configuration"):
        answer = nobody.get(url)
        assert answer.status == 200
        assert "token_endpoint" not in answer.json
        assert answer.json["capabilities"] == ["permission-v2"]


def test_an_address_outside_the_api_is_an_outcome_too(nobody):
    nobody.get("/nothing").refused(404, "not-found")
    nobody.get("/").refused(404, "not-found")
    nobody("DELETE", "/health").refused(405, "not-supported")

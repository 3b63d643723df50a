"""Search parameters defined here as conditions of tokens and of writes: docs/adr/0013"""

import pytest

from hie.commands import token
from hie.fhir import search_parameters
from hie.fhir.search_parameters import CustomParameters
from tests.builders import bundle, post
from tests.conformance.conftest import Fhir
from tests.conformance.eyes import definition, eyed


def test_parameters_come_with_a_transaction_and_take_part_in_conditions_and_scopes(fhir, work, client, clean):
    assert fhir.post("", bundle(post(definition()), post(eyed("blue")))).status == 200
    work()
    assert fhir.post("Patient", eyed("blue"), If_None_Exist="eyes=blue").status == 200
    fhir.create(eyed("brown"))
    narrow = client("system/Patient.rs?eyes=blue")
    assert narrow.total("Patient") == 1
    made = fhir.get("SearchParameter?code=eyes").resources()[0]["id"]
    fhir.delete(f"SearchParameter/{made}")
    narrow.get("Patient").refused(403, "forbidden")
    assert clean()


@pytest.mark.parametrize("way", ["command", "administration"])
def test_a_token_whose_condition_is_a_defined_parameter_is_made_by_a_process_that_has_seen_no_request(
    fhir, work, client, settings, way
):
    fhir.create(definition())
    fhir.create(eyed("blue"))
    work()
    admin, scope = client("admin"), "system/Patient.rs?eyes:not=blue"
    search_parameters.install(CustomParameters())  # as a process begins
    if way == "command":
        made = token.create(settings, "Eyes", [scope], 1)
    else:
        where = admin.post("/admin/clients", {"name": "Eyes"}, Content_Type="application/json").json["id"]
        search_parameters.install(CustomParameters())
        made = admin.post(
            f"/admin/clients/{where}/tokens", {"scope": scope}, Content_Type="application/json").json["token"]
    assert Fhir(fhir.app, made).total("Patient") == 0


@pytest.mark.parametrize("way", ["update", "transaction", "again"])
def test_what_a_token_s_condition_means_is_changed_by_an_administrator_alone(fhir, work, client, way):
    made = fhir.create(definition())
    hidden = fhir.create(eyed("blue"))["id"]
    work()
    writer = client("system/SearchParameter.cruds", "system/Patient.rs?eyes:not=blue")
    changed = definition(id=made["id"], expression="Patient.extension('http://example.org/other').value")
    assert writer.put(f"SearchParameter/{made['id']}", definition(id=made["id"], description="Eyes")).status == 200
    if way == "update":
        answer = writer.put(f"SearchParameter/{made['id']}", changed)
    elif way == "transaction":
        request = {"method": "PUT", "url": f"SearchParameter/{made['id']}"}
        answer = writer.post("", bundle({"resource": changed, "request": request}))
    else:
        assert writer.delete(f"SearchParameter/{made['id']}").status == 200
        writer.get(f"Patient/{hidden}").refused(403, "forbidden")
        answer = writer.post("SearchParameter", {name: one for name, one in changed.items() if name != "id"})
    answer.refused(403, "forbidden", None, "Tokens have conditions by eyes of Patient")
    work()
    assert writer.get(f"Patient/{hidden}").status == (403 if way == "again" else 404)
    assert client("admin system/*.cruds").put(f"SearchParameter/{made['id']}", changed).status in (200, 201)
    work()
    assert writer.get(f"Patient/{hidden}").status == 200  # as the administrator has it


def test_who_may_not_read_a_definition_is_told_of_it_what_the_capability_statement_tells(fhir, work, client):
    made = fhir.create(definition())
    work()
    writer = client("system/SearchParameter.cruds?_tag=mine")
    mine = definition(url="http://example.org/SearchParameter/mine", meta={"tag": [{"code": "mine"}]})
    answer = writer.post("SearchParameter", mine)
    answer.refused(409, "conflict", "SearchParameter.code", f"already, by {made['url']};")
    assert made["id"] not in answer.content.decode()

"""$graphql: https://hl7.org/fhir/R4/graphql.html"""

from urllib.parse import quote, urlencode

import pytest
from graphql import build_client_schema, get_introspection_query, parse, validate
from sqlalchemy import event

from hie.operations.graphql import budget, choosing, execution, mutations
from tests.builders import bundle, entry, observation, patient, post, practitioner
from tests.conformance.test_graphql_mutations import CREATE


@pytest.fixture
def record(fhir):
    """Anna with two names, a doctor, three Observations; and Otto with one."""
    doctor = fhir.create(practitioner())["id"]
    names = [{"use": "official", "family": "Smith", "given": ["Anna", "Maria"]}, {"use": "nickname", "given": ["Anni"]}]
    anna = fhir.create({
        "resourceType": "Patient", "name": names, "birthDate": "1970-05-01", "gender": "female",
        "telecom": [{"system": "phone", "value": "1"}, {"system": "email", "value": "a@b"}],
        "generalPractitioner": [{"reference": f"Practitioner/{doctor}"}],
        "contained": [{"resourceType": "Organization", "id": "o", "name": "Inside"}],
        "managingOrganization": {"reference": "#o"}, "multipleBirthInteger": 2,
    })["id"]  # fmt: skip
    otto = fhir.create(patient("Brown", "Otto", gender="male"))["id"]
    for value in (1, 2, 3):
        fhir.create(observation(f"Patient/{anna}", value, performer=[{"reference": f"Practitioner/{doctor}"}]))
    fhir.create(observation(f"Patient/{otto}", 9, performer=[{"reference": f"Practitioner/{doctor}"}]))
    return {"anna": anna, "otto": otto, "doctor": doctor}


def ask(client, query, at="", **more):
    answer = client.get(f"{at}$graphql?{urlencode({'query': query, **more})}")
    assert answer.status == 200, answer.content
    assert answer.headers["Content-Type"] == "application/json"
    return answer.json


def data(client, query, at="", **more):
    found = ask(client, query, at, **more)
    assert "errors" not in found, found["errors"]
    return found["data"]


def test_of_one_resource_no_more_is_read_than_is_asked_for(fhir, record, monkeypatch):
    monkeypatch.setattr(execution, "REFERRING", 2)
    here = f"Patient/{record['anna']}/"
    most = '{ ObservationList(_reference: patient, _count: 1, _sort: "-value-quantity") { valueQuantity { value } } }'
    assert data(fhir, most, here)["ObservationList"] == [{"valueQuantity": {"value": 3}}]
    for more in ("", ", _count: 2", ', _count: 1, fhirpath: "value.value > 1"'):
        query = f"{{ ObservationList(_reference: patient{more}) {{ id }} }}"
        fhir.get(f"{here}$graphql?{urlencode({'query': query})}").refused(422, "too-costly")
    assert data(fhir, "{ ObservationList(_reference: patient, _count: 0) { id } }", here) == {"ObservationList": []}


@pytest.mark.proves("operation:any/$graphql")
def test_fields_of_one_resource(fhir, record):
    here = f"Patient/{record['anna']}/"
    assert data(fhir, "{ id birthDate name { use given family } multipleBirthInteger deceasedBoolean }", here) == {
        "id": record["anna"], "birthDate": "1970-05-01", "multipleBirthInteger": 2, "deceasedBoolean": None,
        "name": [{"use": "official", "given": ["Anna", "Maria"], "family": "Smith"},
                 {"use": "nickname", "given": ["Anni"], "family": None}],
    }  # fmt: skip
    assert data(fhir, "{ resourceType __typename who: gender }", here) == {
        "resourceType": "Patient", "__typename": "Patient", "who": "female"}


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.parametrize(("query", "expected"), [
    ("{ name(use: official) { family } }", {"name": [{"family": "Smith"}]}),
    ('{ name(fhirpath: "given.count() = 1") { given } }', {"name": [{"given": ["Anni"]}]}),
    ("{ name(_offset: 1) { given } }", {"name": [{"given": ["Anni"]}]}),
    ("{ name(_count: 1) { given } }", {"name": [{"given": ["Anna", "Maria"]}]}),
    ("{ name @first { given @first } }", {"name": [{"given": ["Anna"]}]}),
    ("{ name @first @singleton { given @first @singleton } }", {"name": {"given": "Anna"}}),
    ("{ name @flatten { given family use } }",
     {"given": ["Anna", "Maria", "Anni"], "family": ["Smith"], "use": ["official", "nickname"]}),
    ("{ name(use: official) @flatten { family @singleton } }", {"family": "Smith"}),
    ('{ telecom @slice(path: "system") { value } }',
     {"telecom.phone": [{"value": "1"}], "telecom.email": [{"value": "a@b"}]}),
    ('{ telecom @slice(path: "$index") @singleton { value } }',
     {"telecom.0": {"value": "1"}, "telecom.1": {"value": "a@b"}}),
    ('{ name @flatten @slice(path: "use") { given family @singleton } }',
     {"given.official": ["Anna", "Maria"], "family.official": "Smith", "given.nickname": ["Anni"],
      "family.nickname": None}),
    ('{ name @slice(path: "$index") @flatten { given @first @singleton } }', {"given.0": "Anna", "given.1": "Anni"}),
    ("{ contact { __typename } link { ... on PatientLink { type } } }", {"contact": None, "link": None}),
    ("{ id @include(if: false) gender @skip(if: false) }", {"gender": "female"}),
    ("query Q($u: String = official) { name(use: $u) { ...N } } fragment N on HumanName { use }",
     {"name": [{"use": "official"}]}),
    ("{ ... on Patient { gender } ... on Observation { status } }", {"gender": "female"}),
    ("{ managingOrganization { resource { ... on Organization { name } } } }",
     {"managingOrganization": {"resource": {"name": "Inside"}}}),
    ("{ contained { resourceType ... on Organization { name } } }",
     {"contained": [{"resourceType": "Organization", "name": "Inside"}]}),
    ("{ name { family } name { use } }", {"name": [{"family": "Smith", "use": "official"}, {"family": None,
                                                                                           "use": "nickname"}]}),
])  # fmt: skip
def test_arguments_directives_and_fragments(fhir, record, query, expected):
    assert data(fhir, query, f"Patient/{record['anna']}/") == expected


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_values_stand_beside_their_extensions(fhir):
    """graphql.html#fields: the JSON convention for primitives is observed; who had which extension was not told."""
    said = {"extension": [{"url": "http://example.org/u", "valueString": "s"}]}
    given = {"given": ["Anna", None, "Mia"], "_given": [None, said, said]}
    id_ = fhir.create({"resourceType": "Patient", "name": [{"family": "x", **given}]})["id"]
    both = "_given { extension { url valueString } }"
    assert data(fhir, f"{{ name {{ given {both} }} }}", f"Patient/{id_}/") == {"name": [given]}
    behind = both.replace("_given", "_given(_offset: 1)")
    cut = data(fhir, f"{{ name {{ given(_offset: 1) {behind} }} }}", f"Patient/{id_}/")
    assert cut == {"name": [{"given": [None, "Mia"], "_given": [said, said]}]}
    asked = '{ name { given(fhirpath: "true") a: given @first @singleton _given @first { id } } }'
    assert data(fhir, asked, f"Patient/{id_}/") == {
        "name": [{"given": ["Anna", "Mia"], "a": "Anna", "_given": [{"id": None}]}]}


@pytest.mark.proves("operation:base/$graphql")
def test_the_system_reads_and_searches(fhir, record):
    anna = record["anna"]
    assert data(fhir, f'{{ Patient(id: "{anna}") {{ gender }} }}') == {"Patient": {"gender": "female"}}
    found = data(fhir, '{ PatientList(name: "smith", gender: female) { id } none: PatientList(name: "x") { id } }')
    assert found == {"PatientList": [{"id": anna}], "none": []}
    assert len(data(fhir, "{ PatientList(gender: [male, female]) { id } }")["PatientList"]) == 2
    quantities = data(fhir, '{ ObservationList(value_quantity: "gt2", _sort: "-value-quantity") '
                            "{ valueQuantity { value } } }")
    assert [one["valueQuantity"]["value"] for one in quantities["ObservationList"]] == [9, 3]
    assert data(fhir, "query ($n: String!) { PatientList(name: $n) { id } }", variables='{"n": "smith"}') == {
        "PatientList": [{"id": anna}]}


def test_directives_are_heeded_at_edges_and_what_they_lead_to(fhir, record):
    asked = ("{ ObservationConnection(_sort: _id) { edges @first { mode resource @flatten { subject { reference } } } "
             "} whole: ObservationConnection { edges @flatten { mode } } }")
    found = data(fhir, asked)
    (edge,) = found["ObservationConnection"]["edges"]
    assert (edge["mode"], set(edge)) == ("match", {"mode", "subject"})
    assert found["whole"] == {"mode": ["match"] * 4}
    told = data(fhir, '{ __type(name: "Patient") { name @include(if: true) kind @skip(if: true) } }')
    assert told == {"__type": {"name": "Patient"}}
    with_old = '{ __type(name: "Patient") { fields(includeDeprecated: true) { name } enumValues { name } } }'
    assert {"name": "gender"} in data(fhir, with_old)["__type"]["fields"]


def test_a_list_is_everything_or_an_error(fhir, record):
    """graphql.html#list: the server returns everything, or an error; a FHIRPath is asked of all that match."""
    many = [post(observation(f"Patient/{record['otto']}", 100 + number)) for number in range(30)]
    assert fhir.post("", bundle(*many)).status == 200
    assert len(data(fhir, "{ ObservationList { id } }")["ObservationList"]) == 34
    assert len(data(fhir, "{ ObservationList(_count: 3) { id } }")["ObservationList"]) == 3
    path = 'fhirpath: "value.value > 120"'
    assert len(data(fhir, f"{{ ObservationList({path}) {{ id }} }}")["ObservationList"]) == 9
    edges = data(fhir, f"{{ ObservationConnection(_count: 50, {path}) {{ edges {{ __typename mode }} }} }}")
    assert edges["ObservationConnection"]["edges"] == [{"__typename": "ObservationEdge", "mode": "match"}] * 9
    nested = data(fhir, f"{{ ObservationList(_reference: patient, {path}) {{ id }} }}", f"Patient/{record['otto']}/")
    assert len(nested["ObservationList"]) == 9
    assert fhir.post("", bundle(*(post(observation(value=number)) for number in range(970)))).status == 200
    refused = fhir.get("$graphql?query=%7BObservationList%7Bid%7D%7D")
    refused.refused(422, "too-costly", "query", "ObservationConnection")


def test_connections_page_with_cursors(fhir, record):
    seen, cursor = [], ""
    while cursor is not None:
        query = ('query ($c: String) { ObservationConnection(_count: 3, _cursor: $c) '
                 '{ count pagesize next edges { mode resource { id } } } }')
        page = data(fhir, query, variables=f'{{"c": "{cursor}"}}')["ObservationConnection"]
        assert (page["count"], page["pagesize"]) == (4, 3)
        seen += [edge["resource"]["id"] for edge in page["edges"]]
        cursor = page["next"]
    assert len(seen) == len(set(seen)) == 4

    def connection(cursor):
        fields = "{ previous last edges { resource { id } } }"
        text = f'{{ ObservationConnection(_count: 3, _cursor: "{cursor}") {fields} }}'
        page = data(fhir, text)["ObservationConnection"]
        return page, [edge["resource"]["id"] for edge in page["edges"]]

    first, _ = connection("")
    last, ids = connection(first["last"])
    assert (first["previous"], ids) == (None, seen[3:])
    assert connection(last["previous"])[1] == seen[:3]


def test_references_are_followed_both_ways_with_a_query_for_each_level(fhir, record, app):
    query = """{ PatientList(_sort: "-_id") { id
        generalPractitioner { resource { ... on Practitioner { name { family } } } }
        ObservationList(_reference: patient) {
            valueQuantity { value } performer { resource { id: resourceType } } } } }"""
    statements = []

    def count(*arguments):
        if "resource" in arguments[2]:  # not what a process looks at once a second, such as its search parameters
            statements.append(arguments[2])

    engine = app.extensions["hie"].store.database.engine
    event.listen(engine, "before_cursor_execute", count)
    found = {one["id"]: one for one in data(fhir, query)["PatientList"]}
    few = len(statements)
    assert few >= 3
    assert sorted(o["valueQuantity"]["value"] for o in found[record["anna"]]["ObservationList"]) == [1, 2, 3]
    assert found[record["otto"]]["ObservationList"][0]["valueQuantity"]["value"] == 9
    assert found[record["anna"]]["generalPractitioner"][0]["resource"]["name"] == [{"family": "Jones"}]
    assert found[record["otto"]]["ObservationList"][0]["performer"] == [{"resource": {"id": "Practitioner"}}]
    for number in range(10):
        person = fhir.create(patient("More", generalPractitioner=[{"reference": f"Practitioner/{record['doctor']}"}]))
        fhir.create(observation(f"Patient/{person['id']}", number))
    statements.clear()
    assert len(data(fhir, query)["PatientList"]) == 12
    event.remove(engine, "before_cursor_execute", count)
    assert len(statements) <= few


def test_referring_resources_may_be_counted_and_narrowed(fhir, record):
    here = f"Patient/{record['anna']}/"
    found = data(fhir, '{ ObservationList(_reference: patient, value_quantity: "gt1", _count: 1) { id } '
                       "all: ObservationConnection(_reference: subject, _count: 2) { count } }", here)
    assert (len(found["ObservationList"]), found["all"]["count"]) == (1, 3)
    lifted = data(fhir, "{ ObservationList(_reference: patient) @flatten { status } }", here)
    assert lifted == {"status": ["final"] * 3}


def test_what_the_token_may_not_see_is_null_and_said(client, fhir, record):
    here = f"Patient/{record['anna']}/"
    narrow = client("system/Patient.rs system/Observation.rs?value-quantity:missing=true")
    query = ("{ generalPractitioner { resource { ... on Practitioner { id } } } "
             "ObservationList(_reference: patient) { id } }")
    found = ask(narrow, query, here)
    assert found["data"] == {"generalPractitioner": [{"resource": None}], "ObservationList": []}
    assert found["errors"][0]["path"] == ["generalPractitioner", 0, "resource"]
    optional = "{ generalPractitioner { resource(optional: true) { ... on Practitioner { id } } } }"
    assert data(narrow, optional, here) == {"generalPractitioner": [{"resource": None}]}
    typed = "{ generalPractitioner { resource(type: Organization) { ... on Organization { id } } } }"
    assert data(fhir, typed, here) == {"generalPractitioner": [{"resource": None}]}
    system = ask(client("system/Patient.rs"), '{ ObservationList(code: "x") { id } PatientList { gender } }')
    assert system["data"]["ObservationList"] is None
    assert len(system["data"]["PatientList"]) == 2
    assert system["errors"][0]["path"] == ["ObservationList"]
    missing = ask(fhir, '{ Patient(id: "nobody") { id } }')
    assert missing["data"] == {"Patient": None}
    client("system/Observation.rs").get(f"{here}$graphql?query=%7Bid%7D").refused(403, "forbidden")
    fhir.get("Patient/nobody/$graphql?query=%7Bid%7D").refused(404, "not-found")


def test_queries_come_in_bodies_too(fhir, record):
    query = "query A { PatientList(gender: male) { gender } } query B { PatientList(gender: female) { gender } }"
    body = {"query": query, "operationName": "A"}
    for kind in ("application/json", "application/fhir+json"):
        assert fhir.post("$graphql", body, Content_Type=kind).json["data"] == {"PatientList": [{"gender": "male"}]}
    raw = fhir.post(f"Patient/{record['otto']}/$graphql", b"{ gender }", Content_Type="application/graphql")
    assert raw.json == {"data": {"gender": "male"}}
    parameters = {"resourceType": "Parameters", "parameter": [{"name": "query", "valueString": "{ gender }"}]}
    assert fhir.post(f"Patient/{record['otto']}/$graphql", parameters).json == {"data": {"gender": "male"}}
    answer = fhir.post("", bundle(entry("GET", f"Patient/{record['otto']}/$graphql?query={quote('{ gender }')}"),
                                  type_="batch"))
    (carried,) = answer.resources()
    assert (carried["resourceType"], carried["contentType"]) == ("Binary", "application/json")


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_tools_are_told_the_schema(fhir, record):
    """graphql.html#conformance: servers SHALL provide introspection services."""
    whole = build_client_schema(data(fhir, get_introspection_query()))
    assert {"PatientList", "ObservationConnection", "Patient"} <= whole.query_type.fields.keys()
    query = """{ PatientList(name: "x", gender: [male], _sort: "-_id") { id __typename
        name(use: official) @flatten { given @first } contact { name { family } }
        generalPractitioner { resource(optional: true) { ... on Practitioner { birthDate } } }
        ObservationList(_reference: patient) { valueQuantity { value } _effectiveDateTime { extension { url } } } }
        ObservationConnection(value_quantity: "gt2", _cursor: "") { count edges { score resource { id } } } }"""
    assert validate(whole, parse(query)) == []
    assert data(fhir, query)["PatientList"] == []
    assert validate(whole, parse("{ PatientList { nothing } }")) != []
    _mutations_are_told(fhir, whole)
    at = "{ __typename __schema { queryType { name fields { name } } } }"
    root = data(fhir, at, f"Patient/{record['anna']}/")["__schema"]["queryType"]
    assert (root["name"], {"name", "ObservationList"} <= {one["name"] for one in root["fields"]}) == ("Patient", True)
    asked = '{ __type(name: "Patient") { name interfaces { name } fields { name type { kind } } } }'
    told = data(fhir, asked)["__type"]
    assert (told["name"], told["interfaces"]) == ("Patient", [{"name": "Resource"}])
    assert {one["name"]: one["type"]["kind"] for one in told["fields"]}["name"] == "LIST"


def _mutations_are_told(fhir, whole):
    assert {f"Task{one}" for one in mutations.ACTIONS} <= whole.mutation_type.fields.keys()
    for query in (
        CREATE,
        'mutation { TaskUpdate(id: 1, ifMatch: 2, res: {input: [{type: {text: "x"}, valueString: "y"}]}) '
        "{ resource { input { valueString } } information { issue { code } } } }",
        'mutation { BundleCreate(res: {type: "batch", entry: {resource: {resourceType: "Patient"}}}) { location } }',
        "mutation { PatientDelete(id: 1) { __typename information { id } } __typename }",
    ):
        assert validate(whole, parse(query)) == []
    assert validate(whole, parse("mutation { PatientCreate(resource: {colour: 1}) { location } }")) != []
    asked = '{ __type(name: "PatientInput") { kind inputFields { name type { kind } } fields { name } } }'
    told = data(fhir, asked)["__type"]
    fields = {one["name"]: one["type"]["kind"] for one in told["inputFields"]}
    assert (told["kind"], told["fields"]) == ("INPUT_OBJECT", None)
    assert (fields["name"], fields["maritalStatus"], fields["gender"]) == ("LIST", "INPUT_OBJECT", "SCALAR")


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.parametrize(("query", "status", "code", "text"), [
    ("{ __schema { nothing } }", 400, "invalid", "__Schema has no field nothing"),
    ("{ __schema }", 400, "invalid", "must be selected"),
    ("{ __type { name } }", 400, "invalid", "needs the name"),
    ("{ __schema { types { name } } id }", 400, "invalid", "by themselves"),
    ("{ __schema { types { fields { type { ofType { fields { type { ofType { fields { type { ofType { fields { name } "
     "} } } } } } } } } } } }", 422, "too-costly", "ask for less"),
    (f"{{ {' '.join(f'a{n}: __schema {{ types {{ fields {{ name }} }} }}' for n in range(60))} }}", 422, "too-costly",
     "parts"),
    ('{ ObservationList(_reference: patient) @slice(path: "id") { id } }', 400, "invalid", "for elements"),
    ("", 400, "invalid", "needs a query"),
    ("{ id", 400, "invalid", "no GraphQL"),
    ("mutation { id }", 405, "not-supported", "by POST"),
    ("subscription { id }", 400, "not-supported", "subscription"),
    ("type A { b: C }", 400, "invalid", "types"),
    ("{ nothing }", 400, "invalid", "no element nothing"),
    ("{ contact { name { nothing } } }", 400, "invalid", "HumanName has no element nothing"),
    ("{ contact { gender { x } } }", 400, "invalid", "plain value"),
    ("{ generalPractitioner { resource { ... on Practitioner { nothing } } } }", 400, "invalid", "nothing"),
    ("{ generalPractitioner { resource(type: Practitioner) { nothing } } }", 400, "invalid", "nothing"),
    ("{ contained { ... on Organization { name { x } } } }", 400, "invalid", "plain value"),
    ("{ ObservationList(_reference: patient) { nothing } }", 400, "invalid", "nothing"),
    ("{ ObservationConnection(_reference: patient) { edges { resource { nothing } } } }", 400, "invalid", "nothing"),
    ("{ name }", 400, "invalid", "has fields"),
    ("{ gender { x } }", 400, "invalid", "plain value"),
    ("{ gender(x: 1) }", 400, "invalid", "no list"),
    ("{ name(colour: red) { use } }", 400, "invalid", "colour"),
    ('{ name(fhirpath: "((") { use } }', 400, "invalid", "fhirpath"),
    ("{ name @upper { use } }", 400, "invalid", "@upper"),
    ("{ name @slice { use } }", 400, "invalid", "path"),
    ("{ name @singleton { use } }", 400, "invalid", "more than one"),
    ("{ gender @flatten }", 400, "invalid", "flatten"),
    ("{ ...A } fragment A on Patient { ...A }", 400, "invalid", "contains itself"),
    ("{ ...A }", 400, "invalid", "not defined"),
    ("query ($a: String!) { id }", 400, "invalid", "needs a value"),
    ("{ a: gender a: id }", 400, "invalid", "twice"),
    ("{ ObservationList { id } }", 400, "invalid", "_reference"),
    ("{ ObservationList(_reference: nothing) { id } }", 400, "invalid", "nothing"),
    ("{ ObservationList(_reference: patient, _include: \"Observation:subject\") { id } }", 400, "invalid", "criteria"),
    ("{ " + "contact { extension " * 25 + "{ url }" + "}" * 26, 422, "too-costly", "nested"),
    ("{ " + "id " * 2100 + "}", 422, "too-costly", "fields"),
    ("{ " + "{" * 5000, 400, "invalid", "no GraphQL"),
])  # fmt: skip
def test_what_cannot_be_answered_is_refused(fhir, query, status, code, text):
    person = fhir.create(patient(name=[{"use": "usual"}, {"use": "old"}]))["id"]
    fhir.get(f"Patient/{person}/$graphql?query={quote(query)}").refused(status, code, text=text)


#: What would be passed over where it stands, and how it is told.
MISPLACED = [
    ("{ __schema @first { types { name } } }", "@first stands at __schema"),
    ("{ __schema { types @flatten { name } } }", "@flatten stands at types"),
    ('{ __type(name: "Patient") { name @singleton } }', "@singleton stands at name"),
    ('{ __type(name: "Patient") @slice(path: "name") { name } }', "@slice stands at __type"),
    ('{ __type(name: "Patient", id: "1") { name } }', "__type takes name alone, not id"),
    ("{ __schema { types { fields(_count: 2) { name } } } }", "includeDeprecated alone, not _count"),
    ("{ __schema { types { __typename @first } } }", "@first stands at __typename"),
    ("{ __typename @first }", "@first stands at __typename"),
    ("{ __typename(x: 1) id }", "__typename takes no arguments"),
    ("{ ... on Patient @flatten { name { use } } }", "@flatten stands at a fragment"),
    ("{ ...A @first } fragment A on Patient { name { use } }", "@first stands at a fragment"),
    ("query @skip(if: true) { id }", "@skip stands at a query"),
    ("{ ObservationConnection(_reference: patient) { count @first } }", "@first stands at count"),
    ("{ ObservationConnection(_reference: patient) { edges(first: 1) { mode } } }", "edges takes no arguments"),
    ("{ ObservationConnection(_reference: patient) { edges { mode @flatten } } }", "@flatten"),
    ('{ ObservationConnection(_reference: patient) { edges @slice(path: "mode") { mode } } }', "for elements"),
    ("{ ObservationConnection(_reference: patient) { next(x: 1) } }", "next takes no arguments"),
    ('{ generalPractitioner { resource @slice(path: "id") { __typename } } }', "for elements"),
]


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_directives_and_arguments_are_refused_where_they_would_mean_nothing(fhir):
    person = fhir.create(patient())["id"]
    for query, text in MISPLACED:
        fhir.get(f"Patient/{person}/$graphql?query={quote(query)}").refused(400, "invalid", "query", text)


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_a_field_that_nothing_has_is_told_where_nothing_is_found_too(fhir):
    for query in ("{ PatientList(name: x) { nothing } }", "{ Patient(id: x) { name { nothing } } }",
                  "{ PatientConnection(name: x) { edges { resource { nothing } } } }"):
        fhir.get(f"$graphql?query={quote(query)}").refused(400, "invalid", text="nothing")


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.parametrize("query", [
    "query ($v: Any) { PatientList(name: $v) { id } }",
    "query ($v: Any) { PatientList { name(use: $v) { family } } }",
    "query ($v: Any) { PatientList(fhirpath: $v) { id } }",
    "query ($v: Any) { PatientList { name @slice(path: $v) { family } } }",
    "query ($v: Any) { PatientList(name: [$v]) { id } }",
])  # fmt: skip
def test_a_variable_is_no_more_than_an_argument_may_be(fhir, record, query):
    """An object was written as a text again for each value that it was compared with."""
    for value in ({"a": 1}, [["a"]], ["a"] * 1_001, *([["a"]] if "[$v]" in query else [])):
        asked = fhir.post("$graphql", {"query": query, "variables": {"v": value}}, Content_Type="application/json")
        asked.refused(400, "invalid", "query")


@pytest.mark.parametrize("argument", ["use", "fhirpath", "_offset"])
def test_an_element_is_compared_with_one_value(fhir, record, argument):
    query = f"{{ PatientList {{ name({argument}: [official]) {{ family }} }} }}"
    fhir.get(f"$graphql?query={quote(query)}").refused(400, "invalid", "query")


def test_fields_of_one_key_are_one_where_their_arguments_are_written_alike(fhir):
    """By what they say, not by what variables are: these may be long, and compared a thousand times."""
    same = "query ($v: String) { PatientList(_count: 3, name: $v) { id } PatientList(name: $v, _count: 3) { gender } }"
    asked = fhir.post("$graphql", {"query": same, "variables": {"v": "x"}}, Content_Type="application/json")
    assert asked.json == {"data": {"PatientList": []}}
    other = "query ($v: String, $w: String) { PatientList(name: $v) { id } PatientList(name: $w) { id } }"
    body = {"query": other, "variables": {"v": "x", "w": "x"}}
    fhir.post("$graphql", body, Content_Type="application/json").refused(400, "invalid", "query", "asked for twice")


def test_bounds_hold(fhir, monkeypatch):
    monkeypatch.setattr(budget, "MOST_FETCHES", 2)
    many = "{ a: PatientList { id } b: PatientList { id } c: PatientList { id } }"
    fhir.get(f"$graphql?query={quote(many)}").refused(422, "too-costly", text="reads and searches")
    fhir.get("$graphql?query=%7B%20x%20%7D").refused(400, "invalid", "query")
    fhir.get("$graphql?query=x&other=1").refused(400, "invalid", "other")
    fhir.get("$graphql?query=x&variables=%7B").refused(400, "structure", "variables")
    fhir.post("$graphql", b"\xff", Content_Type="application/graphql").refused(400, "invalid", "query")
    fhir.post("$graphql", [1], Content_Type="application/json").refused(400, "invalid", "query")
    fhir.get("Patient/$graphql?query=x").refused(404, "not-found", "http.url")


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_a_long_value_that_is_asked_for_again_and_again_ends_the_query(fhir):
    """2,000 names for one text made 2,000 times its bytes."""
    id_ = fhir.create({"resourceType": "Patient", "address": [{"text": "x" * 60_000}]})["id"]
    many, few = ("{" + " ".join(f"a{n}: address {{ text }}" for n in range(count)) + "}" for count in (990, 9))
    asked = fhir.post(f"Patient/{id_}/$graphql", {"query": many}, Content_Type="application/json")
    asked.refused(422, "too-costly", "query", "ask for less")
    assert len(fhir.get(f"Patient/{id_}/$graphql?query={quote(few)}").content) > 540_000


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_long_names_in_the_answer_end_the_query(fhir):
    """400 kB in the keys of slices made 120 MB, and an alias of 90,000 characters stood in every row."""
    photo = {"contentType": "image/png", "title": "t", "data": "A" * 400_000}
    id_ = fhir.create({"resourceType": "Patient", "photo": [photo]})["id"]
    titles = " ".join(f"a{n}: title" for n in range(300))
    for query, text in ((f'{{ photo @flatten @slice(path: "data") {{ {titles} }} }}', "ask for less"),
                        (f"{{ {'a' * 201}: id }}", "longer than 200")):
        fhir.post(f"Patient/{id_}/$graphql", {"query": query}, Content_Type="application/json").refused(
            422, "too-costly", "query", text)
    query = "{ __schema { types { " + " ".join(f"{'a' * 190}{n}: kind" for n in range(400)) + " } } }"
    fhir.post("$graphql", {"query": query}, Content_Type="application/json").refused(422, "too-costly", "query")
    assert fhir.get(f"Patient/{id_}/$graphql?query={quote('{' + 'a' * 200 + ': id }')}").status == 200


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_resources_of_too_many_bytes_end_the_query(fhir, monkeypatch):
    """However they are found; fewer than a page was to have are not passed off as all."""
    patients = [fhir.create({"resourceType": "Patient", "address": [{"text": f"{n}" * 900}]})["id"] for n in range(3)]
    for one in (*patients, patients[0], patients[0]):
        fhir.create(observation(f"Patient/{one}", note=[{"text": "y" * 900}]))
    monkeypatch.setattr(budget, "MOST_BYTES", 2_000)
    read = " ".join(f'p{n}: Patient(id: "{one}") {{ id }}' for n, one in enumerate(patients))
    refers = f'{{ Patient(id: "{patients[0]}") {{ ObservationList(_reference: subject, _count: 2) {{ id }} }} }}'
    for asked in (f"{{ {read} }}", "{ PatientList { id } }", "{ PatientList(_count: 3) { id } }", refers,
                  "{ ObservationList(_count: 1) { subject { resource { id } } code { text } } PatientList(_count: 1) "
                  "{ id } }"):  # fmt: skip
        fhir.get(f"$graphql?query={quote(asked)}").refused(422, "too-costly", "query", "bytes of resources")
    assert fhir.get(f"$graphql?query={quote('{ PatientList(_count: 1) { id } }')}").status == 200


def test_paths_that_handle_too_much_end_the_query(fhir, monkeypatch):
    monkeypatch.setattr(choosing, "MOST_HANDLED", 20)
    id_ = fhir.create({"resourceType": "Patient", "name": [{"given": ["a", "b"]}] * 20})["id"]
    query = '{ name(fhirpath: "descendants().descendants().count() = 0 or given.exists()") { given } }'
    fhir.get(f"Patient/{id_}/$graphql?query={quote(query)}").refused(422, "too-costly", "query", "more than 20 items")

"""FHIR resources -> histories."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_adapters import histories
from fhir_adapters.codings import ICD10_CM, RXNORM, SNOMED, codings, preferred
from fhir_adapters.histories import history_of
from ml.recommender.history import Item, LeftOut

CVX = "http://hl7.org/fhir/sid/cvx"


def concept(code="44054006", system=SNOMED, display="Diabetes"):
    return {"coding": [{"system": system, "code": code, "display": display}], "text": "as the doctor wrote it"}


def resource(type_, id_, patient="Patient/p", **elements):
    subject = "patient" if type_ == "Immunization" else "subject"
    return {"resourceType": type_, "id": id_, subject: {"reference": patient}, **elements}


def condition(id_="c1", **elements):
    return resource("Condition", id_, **{"code": concept(), **elements})


def request(id_="m1", **elements):
    medication = {"medicationCodeableConcept": concept("860975", RXNORM, "Metformin")}
    chosen = {} if "medicationReference" in elements else medication
    return resource("MedicationRequest", id_, **{"status": "active", "intent": "order", **chosen, **elements})


def test_a_record_becomes_items_with_kind_code_display_date_and_source():
    history = history_of(
        [
            {"resourceType": "Patient", "id": "p", "gender": "female", "birthDate": "1980-06-15"},
            condition(onsetDateTime="2011-03-02T23:37:54+02:00", recordedDate="2012-01-01"),
            resource(
                "Procedure",
                "x",
                status="completed",
                code=concept("73761001", display="Colonoscopy"),
                performedPeriod={"start": "2012-11-25T23:37:54Z"},
            ),
            request(authoredOn="2017-03"),
            resource(
                "Immunization",
                "i",
                status="completed",
                vaccineCode=concept("140", CVX, "Influenza"),
                occurrenceDateTime="2011",
            ),
            {"resourceType": "Observation", "id": "o", "subject": {"reference": "Patient/p"}, "code": concept()},
        ],
        "p",
    )

    assert (history.patient, history.sex, history.birth_date, history.deceased) == ("p", "female", "1980-06-15", False)
    assert history.items == (
        Item("condition", SNOMED, "44054006", "Diabetes", "2011-03-02", ("Condition/c1",)),
        Item("immunization", CVX, "140", "Influenza", "2011", ("Immunization/i",)),
        Item("medication", RXNORM, "860975", "Metformin", "2017-03", ("MedicationRequest/m1",)),
        Item("procedure", SNOMED, "73761001", "Colonoscopy", "2012-11-25", ("Procedure/x",)),
    )
    assert history.left_out == ()


def test_resources_with_one_code_become_one_item_with_all_sources_and_the_first_date():
    history = history_of([condition("c2", onsetDateTime="2015"), condition("c1", onsetDateTime="2010")], "Patient/p")

    assert [(item.date, item.sources) for item in history.items] == [("2010", ("Condition/c1", "Condition/c2"))]


@pytest.mark.parametrize(
    "type_", ["MedicationRequest", "MedicationStatement", "MedicationAdministration", "MedicationDispense"]
)
def test_all_four_medication_resources_are_read(type_):
    given_one = resource(type_, "1", status="completed", medicationCodeableConcept=concept("1", RXNORM))

    assert [item.key for item in history_of([given_one], "p").items] == [("medication", RXNORM, "1")]


@pytest.mark.parametrize(
    ("reference", "medication"),
    [
        ("Medication/1", {"resourceType": "Medication", "id": "1", "code": concept("9", RXNORM)}),
        ("Medication/1/_history/3", {"resourceType": "Medication", "id": "1", "code": concept("9", RXNORM)}),
        ("urn:uuid:1", {"resourceType": "Medication", "id": "1", "code": concept("9", RXNORM)}),
        (
            "http://example.org/Medication/1",
            {
                "resourceType": "Bundle",
                "entry": [
                    {
                        "fullUrl": "http://example.org/Medication/1",
                        "resource": {"resourceType": "Medication", "id": "1", "code": concept("9", RXNORM)},
                    }
                ],
            },
        ),
    ],
    ids=["relative", "versioned", "uuid", "absolute-in-bundle"],
)
def test_a_medication_reference_is_followed_among_the_given_resources(reference, medication):
    history = history_of([request(medicationReference={"reference": reference}), medication], "p")

    assert [item.key for item in history.items] == [("medication", RXNORM, "9")]


def test_a_reference_to_a_contained_medication_is_followed():
    contained = [{"resourceType": "Medication", "id": "m", "code": concept("9", RXNORM)}]
    history = history_of([request(medicationReference={"reference": "#m"}, contained=contained)], "p")

    assert history.items[0].code == "9"


@pytest.mark.parametrize(
    ("left_out", "reason"),
    [
        (condition(verificationStatus=concept("refuted", "urn:v")), "verification status refuted"),
        (condition(verificationStatus=concept("entered-in-error", "urn:v")), "verification status entered-in-error"),
        (resource("Procedure", "x", status="not-done", code=concept()), "status not-done"),
        (resource("Procedure", "x", status="preparation", code=concept()), "status preparation"),
        (resource("Immunization", "x", status="not-done", vaccineCode=concept()), "status not-done"),
        (request(status="entered-in-error"), "status entered-in-error"),
        (request(status="cancelled"), "status cancelled"),
        (request(intent="proposal"), "intent proposal"),
        (request(doNotPerform=True), histories.DO_NOT_PERFORM),
        (
            resource("MedicationStatement", "x", status="not-taken", medicationCodeableConcept=concept()),
            "status not-taken",
        ),
        (
            resource("MedicationAdministration", "x", status="not-done", medicationCodeableConcept=concept()),
            "status not-done",
        ),
        (
            resource("MedicationDispense", "x", status="declined", medicationCodeableConcept=concept()),
            "status declined",
        ),
        (condition(modifierExtension=[{"url": "urn:x:not", "valueBoolean": True}]), histories.MODIFIED),
        (request(implicitRules="urn:x:rules"), histories.MODIFIED),
        (condition(code={"text": "diabetes"}), histories.NO_CODING),
        (condition(code={"coding": [{"code": "1"}]}), histories.NO_CODING),
        (condition(code={"coding": [{"system": SNOMED}]}), histories.NO_CODING),
        (condition(code=None), histories.NO_CODING),
        (request(medicationReference={"reference": "Medication/9"}), histories.NO_MEDICATION),
        (request(medicationReference={"reference": "#9"}), histories.NO_MEDICATION),
        (request(medicationReference={"display": "pills"}), histories.NO_MEDICATION),
        (condition(patient="Patient/q"), histories.OTHER_PATIENT),
        (condition(patient="http://elsewhere.example/fhir/Patient/p"), histories.OTHER_PATIENT),
        (condition(subject={"display": "somebody"}), histories.NO_SUBJECT),
    ],
)
def test_what_did_not_happen_or_cannot_be_mapped_is_left_out_by_name(left_out, reason):
    history = history_of([left_out], "p")

    assert history.items == ()
    assert history.left_out == (LeftOut(f"{left_out['resourceType']}/{left_out['id']}", reason),)


def test_a_reference_to_a_medication_without_code_is_left_out_for_its_code():
    medication = {"resourceType": "Medication", "id": "1"}
    history = history_of([request(medicationReference={"reference": "Medication/1"}), medication], "p")

    assert [entry.reason for entry in history.left_out] == [histories.NO_CODING]


@pytest.mark.parametrize(
    ("dates", "found"),
    [
        ({}, None),
        ({"onsetDateTime": "2011-02-30"}, None),
        ({"onsetDateTime": "yesterday", "recordedDate": "2012-01-01"}, "2012-01-01"),
        ({"onsetPeriod": {"start": "2010-05"}, "recordedDate": "2012-01-01"}, "2010-05"),
        ({"onsetPeriod": {"end": "2010-05"}}, None),
        ({"onsetAge": {"value": 40}, "recordedDate": "2012"}, "2012"),
        ({"onsetDateTime": 2011}, None),
    ],
)
def test_a_missing_or_unreadable_date_leaves_the_item_with_the_next_one_or_none(dates, found):
    assert [item.date for item in history_of([condition(**dates)], "p").items] == [found]


@pytest.mark.parametrize(
    ("elements", "sex", "born", "deceased"),
    [
        ({}, None, None, False),
        ({"gender": "unknown", "birthDate": "1980"}, None, "1980", False),
        ({"gender": "other", "birthDate": "nonsense"}, "other", None, False),
        ({"deceasedBoolean": True}, None, None, True),
        ({"deceasedBoolean": False}, None, None, False),
        ({"deceasedDateTime": "2020-01-01"}, None, None, True),
    ],
)
def test_sex_birth_date_and_death_are_read_where_they_are_known(elements, sex, born, deceased):
    history = history_of([{"resourceType": "Patient", "id": "p", **elements}], "p")

    assert (history.sex, history.birth_date, history.deceased) == (sex, born, deceased)


def test_a_patient_who_is_not_among_the_resources_has_no_sex_and_no_age():
    history = history_of([condition(), {"resourceType": "Patient", "id": "q", "gender": "male"}], "p")

    assert (history.sex, len(history.items)) == (None, 1)


def test_bundles_among_the_resources_are_opened_and_their_addresses_used():
    bundle = {
        "resourceType": "Bundle",
        "entry": [
            {"fullUrl": "urn:uuid:77", "resource": {"resourceType": "Patient", "id": "p", "gender": "male"}},
            {"fullUrl": "urn:uuid:78", "resource": condition(patient="urn:uuid:77")},
            {"request": {"method": "DELETE"}},
        ],
    }

    history = history_of([{"resourceType": "Bundle", "entry": [{"resource": bundle}]}], "p")

    assert (history.sex, len(history.items), history.left_out) == ("male", 1, ())


def test_a_resource_without_id_is_named_by_its_address():
    nameless = condition()
    del nameless["id"]
    bundle = {"resourceType": "Bundle", "entry": [{"fullUrl": "urn:uuid:78", "resource": nameless}]}

    assert history_of([bundle], "p").items[0].sources == ("urn:uuid:78",)


def test_of_several_codings_the_preferred_system_counts_in_whatever_order():
    several = [
        {"system": ICD10_CM, "code": "E11", "display": "Type 2 diabetes"},
        {"code": "local"},
        {"system": SNOMED, "code": "73211009", "display": "Diabetes mellitus"},
        {"system": SNOMED, "code": "44054006", "display": "Diabetes"},
        {"system": "urn:hospital", "code": "1"},
    ]
    for listed in (several, several[::-1]):
        assert preferred({"coding": listed}, (SNOMED, ICD10_CM)) == (SNOMED, "44054006", "Diabetes")
    assert preferred({"coding": several[-1:]}, (SNOMED,)) == ("urn:hospital", "1", None)


def test_a_system_written_as_oid_is_the_same_system():
    assert codings(concept(system="urn:oid:2.16.840.1.113883.6.96"))[0][0] == SNOMED


def test_the_free_text_of_a_concept_is_never_a_display():
    history = history_of([condition(code={"coding": [{"system": SNOMED, "code": "1"}], "text": "Mrs Smith's"})], "p")

    assert history.items[0].display is None


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["Patient/p", "#m", "active"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["coding", "code", "system", "reference", "start", "id", "resourceType", "entry", "resource"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
names = (
    "id status intent code subject patient contained gender birthDate deceasedDateTime vaccineCode onsetPeriod entry"
    " verificationStatus medicationReference medicationCodeableConcept"
)
anything = st.dictionaries(st.sampled_from(names.split()), values)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([*histories.READINGS, "Patient", "Medication", "Bundle"]), anything)
def test_whatever_stands_in_a_resource_it_is_an_item_or_is_named(type_, elements):
    found = {"resourceType": type_, **elements}
    history = history_of([found, {"resourceType": type_}, None, 7], "p")

    if type_ in histories.READINGS:
        assert sum(len(item.sources) for item in history.items) + len(history.left_out) == 2

"""Links between entries of a transaction are found once and set as often as needed."""

from hie.fhir.bundle_links import conditional_reference, find, path_of, path_of_reference, rewrite, root_of

URN = "urn:uuid:11111111-1111-1111-1111-111111111111"


def rewritten(resource, full_urls, root=None, conditional=None):
    for link in find(resource):
        rewrite(link, full_urls, root, conditional or {})
    return resource


def test_references_uris_and_narrative_links_are_rewritten_and_strings_are_not():
    found = rewritten(
        {
            "resourceType": "Observation",
            "subject": {"reference": URN},
            "identifier": [{"system": "urn:ietf:rfc:3986", "value": URN}],
            "extension": [{"url": "http://example.org/x", "valueUri": URN}],
            "instantiatesUri": [URN],
            "text": {"div": f'<div><a href="{URN}">{URN}</a><img src=\'{URN}\'/></div>'},
            "contained": [{"resourceType": "Patient", "managingOrganization": {"reference": URN}}],
        },
        {URN: "Patient/1"},
    )
    assert found["subject"]["reference"] == "Patient/1"
    assert found["identifier"][0]["value"] == URN
    assert found["extension"][0]["valueUri"] == "Patient/1"
    assert found["instantiatesUri"] == ["Patient/1"]
    assert found["text"]["div"] == f'<div><a href="Patient/1">{URN}</a><img src=\'Patient/1\'/></div>'
    assert found["contained"][0]["managingOrganization"]["reference"] == "Patient/1"


def test_a_relative_reference_is_read_against_the_entrys_own_base():
    root = root_of("http://other.example/fhir/Observation/7")
    urls = {"http://other.example/fhir/Patient/3": "Patient/new"}
    assert rewritten({"subject": {"reference": "Patient/3"}}, urls, root)["subject"]["reference"] == "Patient/new"
    assert rewritten({"subject": {"reference": "Patient/4"}}, urls, root)["subject"]["reference"] == "Patient/4"
    assert root_of(URN) is None


def test_a_second_attempt_starts_from_what_the_client_sent():
    resource = {"subject": {"reference": URN}}
    links = find(resource)
    for target in ("Patient/1", "Patient/2"):
        for link in links:
            rewrite(link, {URN: target}, None, {})
        assert resource["subject"]["reference"] == target


def test_conditional_references_are_told_from_others():
    assert conditional_reference("Practitioner?identifier=a|b") == ("Practitioner", "identifier=a|b")
    assert conditional_reference("Nothing?identifier=a") is None
    assert conditional_reference("Practitioner/1") is None
    assert conditional_reference("Practitioner?") is None


def test_the_path_of_a_link_names_its_element():
    resource = {"resourceType": "Claim", "item": [{"encounter": [{"reference": "Encounter/1"}, {"reference": URN}]}]}
    link = find(resource)[1]
    assert path_of(link, resource) == "Claim.item[0].encounter[1].reference"
    assert path_of_reference("Encounter/1", resource) == "Claim.item[0].encounter[0].reference"
    assert path_of_reference("Encounter/2", resource) is None

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


def test_an_attachment_and_a_narrative_may_point_by_an_absolute_full_url():
    root, url = "http://other.example/fhir/", "http://other.example/fhir/Binary/5"
    div = ('<div xmlns="http://www.w3.org/1999/xhtml"><a href="{0}">x</a><img src=\'{1}\'/> {0} '
           '<a href="http://other.example/fhir/Binary/6">y</a><a href="#x">z</a></div>')
    resource = {
        "resourceType": "DocumentReference", "url": url, "text": {"div": div.format(url, "Binary/5")},
        "extension": [{"url": url, "valueUri": url}, {"url": "x", "valueAttachment": {"url": url}}],
        "content": [{"attachment": {"url": "Binary/5"}}, {"attachment": {"url": "http://other.example/fhir/Binary/6"}}],
        "contained": [{"resourceType": "Media", "content": {"url": url}}, {"resourceType": "Patient", "photo": [
            {"url": url}]}],
    }  # fmt: skip
    found = rewritten(resource, {url: "Binary/new"}, root)
    assert found["text"]["div"] == div.format(url, "Binary/new").replace(f'"{url}"', '"Binary/new"')
    assert found["extension"] == [{"url": url, "valueUri": url}, {"url": "x", "valueAttachment": {"url": "Binary/new"}}]
    assert found["url"] == url, "what a definition is known by is no address"
    assert [one["attachment"]["url"] for one in found["content"]] == ["Binary/new", "http://other.example/fhir/Binary/6"]
    media, person = found["contained"]
    assert media["content"]["url"] == person["photo"][0]["url"] == "Binary/new"


def test_a_uuid_or_an_oid_that_is_one_stays_one():
    """What a fullUrl stands for is none, so that a resource with such a value could not be stored."""
    oid = "urn:oid:1.2.3"
    found = rewritten({"extension": [{"url": "x", "valueUuid": URN}, {"url": "x", "valueOid": oid}]},
                      {URN: "Patient/1", oid: "Patient/2"})
    assert [one.get("valueUuid") or one.get("valueOid") for one in found["extension"]] == [URN, oid]


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

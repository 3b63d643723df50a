"""Links of searchsets, histories and operations are URLs that any client can ask for: RFC 3986, appendix A."""

import re
from urllib.parse import quote

from tests.builders import SYSTEM, observation, patient
from tests.one_database import ONE_DATABASE

pytestmark = ONE_DATABASE

LEGAL = re.compile(r"http://localhost(/[\w\-.~!$&'()*+,;=:@]+)+\?([\w\-.~!$&'()*+,;=:@/?]|%[0-9A-F]{2})+", re.ASCII)
ODD = '^{}[]<>"`é λ+#&;%'
URLS = (
    f"Patient?identifier={SYSTEM}|1,{SYSTEM}|2&name:exact={quote(ODD)}&_count=1",
    "Patient/a/Observation?code=http://loinc.org|8867-4&_total=accurate&_count=1",
    "?_type=Patient,Observation&_tag:not=http://example.org|x&_count=1",
    "Observation/$lastn?patient=a&code=http://loinc.org|8867-4&max=1",
    "Patient/a/$everything?_type=Patient,Observation&_elements=Patient.name&_since=2020-01-01T00:00:00%2B01:00&_count=1",
    "Patient/a/_history?_count=1&_since=2020-01-01T00:00:00%2B01:00",
)


def test_links_are_urls_and_lead_where_they_say(fhir):
    person = patient(ODD, identifier="1", id="a")
    for one in (person, person | {"active": True}, person | {"id": "b"}):
        assert fhir.put(f"Patient/{one['id']}", one).status in (200, 201)
        fhir.create(observation("Patient/a"))
    for url in URLS:
        links = {row["relation"]: row["url"] for row in fhir.get(url).json["link"]}
        assert [link for link in links.values() if not LEGAL.fullmatch(link)] == []
        assert ("next" in links) is ("$lastn" not in url)
        assert {fhir.get(link).status for link in links.values()} == {200}

"""Resources whose values stand close to each other, drawn from a seed."""

from __future__ import annotations

import random

from hie.fhir import json_format
from tests.property.plain_filter import Json, span

LOINC, UCUM, LOCAL = "http://loinc.org", "http://unitsofmeasure.org", "urn:local"
CODES = [(LOINC, "8302-2"), (LOINC, "8480-6"), (LOCAL, "8302-2"), ("", "8480-6"), (LOCAL, "x,y"), (LOCAL, "a|b$c")]
FAMILIES = ["Müller", "MULLER", "Muller-Lüdenscheidt", "O'Neil", "Øster", "de la Cruz " + "x" * 80, "李", "Mu"]
WORDS = ["Body height", "Body  Weight", "BÖDY", "Bo", "Systolic blood pressure", "systolic blood", "Øre, rød", "O"]
URLS = [
    "http://p/a", "http://p/a/", "http://p/a/b", "http://p/a/b/c", "http://p/ab", "http://p", "http://P/a", "urn:p:a",
    "http://p/a/b|2", "http://q/" + "x/" * 14 + "y", "http://q/" + "x/" * 14 + "z", "http://q/" + "x/" * 12, "q//r/s",
    "http://p//a/b",
]  # fmt: skip
SAID = [
    "pain", "Pain", "knee", "k<b>n</b>ee", "J\u00f6int", "joint;", "joint-pain", "no", "<i>H</i>2O", "&lt;5",
    "\u6771\u4eac", "\u6771",
]  # fmt: skip
PLACES = [
    (47.37, 8.54), (47.38, 8.55), (0.0, 179.999), (0.0, -179.99), (-0.01, 179.9), (89.7, 10.0), (89.69, -170.0),
    (-60.0, 0.0),
]  # fmt: skip
DATES = [
    "1980", "1980-05", "1980-05-12", "1979-12-31", "1981-01-01", "1980-06", "2015-02-14", "2015-02-14T13:42:00+10:00",
    "2015-02-14T03:42:00Z", "2015-02-14T03:42:00.5Z", "2015-02-13T23:59:59-05:00", "1999", "2000-02-29", "1980-05-13",
]  # fmt: skip
NUMBERS = [
    "5", "5.4", "5.40", "5.35", "5.45", "-3", "0", "100", "99.5", "100.5", "1e2", "0.001", "5.4000001", "5000", "0.005",
    "37", "98.6", "98.60",
]  # fmt: skip
UNITS = [
    (UCUM, "mg", "mg"), (UCUM, "g", "gram"), (UCUM, "kg", "kg"), (UCUM, "Cel", "C"), (UCUM, "[degF]", "F"),
    (UCUM, "[pH]", "pH"), (UCUM, "pills", "mg"), (LOCAL, "mg", "mg"), ("", "", "mg"), ("", "", ""),
]  # fmt: skip


def concept(rng: random.Random) -> Json:
    codings = []
    for system, code in rng.sample(CODES, rng.choice([0, 1, 1, 2])):
        codings.append({"code": code, **({"system": system} if system else {})})
        if rng.random() < 0.5:
            codings[-1]["display"] = rng.choice(WORDS)
    if codings and rng.random() < 0.5:
        return {"coding": codings}
    return {"text": rng.choice(WORDS), **({"coding": codings} if codings else {})}


def quantity(rng: random.Random) -> Json:
    system, code, unit = rng.choice(UNITS)
    found: Json = {"value": json_format.JsonDecimal(rng.choice(NUMBERS))}
    if rng.random() < 0.2:
        found["comparator"] = rng.choice(["<", "<=", ">", ">="])
    return found | {key: text for key, text in (("unit", unit), ("system", system), ("code", code)) if text}


def period(rng: random.Random) -> Json:
    start, end = sorted(rng.sample(DATES, 2), key=lambda text: span(text)[0])
    if span(end)[1] <= span(start)[0]:
        end = start
    return rng.choice([{"start": start, "end": end}, {"start": start}, {"end": end}])


def date_time(rng: random.Random) -> str:
    return rng.choice(DATES)


def day(rng: random.Random) -> str:
    return rng.choice([text for text in DATES if "T" not in text])


def patient(rng: random.Random, number: int) -> Json:
    found: Json = {"resourceType": "Patient", "id": f"p{number}"}
    if rng.random() < 0.8:
        found["name"] = [{"family": rng.choice(FAMILIES), "given": rng.sample(["Anna", "Ann", "Bo", "Ánna"], 2)}]
    if rng.random() < 0.8:
        found["birthDate"] = day(rng)
    if rng.random() < 0.4:
        found["deceasedDateTime"] = date_time(rng)
    if rng.random() < 0.7:
        found["gender"] = rng.choice(["male", "female"])
    if rng.random() < 0.5:
        found["active"] = rng.choice([True, False])
    if rng.random() < 0.5:
        found["identifier"] = [identifier(rng)]
    if rng.random() < 0.5:
        found["address"] = [{"city": rng.choice(["Bern", "Berne", "Ulm"]), "line": ["Main 1"]}]
    return found | narrative(rng) | meta(rng)


def narrative(rng: random.Random) -> Json:
    if rng.random() < 0.3:
        return {}
    said = " ".join(rng.choices(SAID, k=rng.choice([1, 2, 3, 6])))
    return {"text": {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml"><p>{said}</p></div>'}}


def location(rng: random.Random, number: int) -> Json:
    found: Json = {"resourceType": "Location", "id": f"l{number}", "name": rng.choice(WORDS), "status": "active"}
    if number:
        latitude, longitude = rng.choice(PLACES)
        at = {"latitude": str(latitude + rng.choice([0, 0.01, -0.3])), "longitude": str(longitude)}
        found["position"] = {name: json_format.JsonDecimal(text) for name, text in at.items()}
    return found | narrative(rng) | meta(rng)


def identifier(rng: random.Random) -> Json:
    found = rng.choice([{"system": LOCAL, "value": "1"}, {"value": "1"}, {"system": LOCAL, "value": "2|3"}])
    kind = rng.choice([concept(rng), {"coding": [{"system": LOCAL, "code": "MR"}], "text": "Body number"}])
    return {**found, **({"type": kind} if rng.random() < 0.7 else {})}


def meta(rng: random.Random) -> Json:
    tags = [{"code": code, **({"system": system} if system else {})} for system, code in rng.sample(CODES, 1)]
    if rng.random() < 0.3:
        tags[0]["display"] = rng.choice(WORDS)
    return {"meta": {"tag": tags, "profile": [rng.choice(["http://p/a", "http://p/a|1", "http://p/b", *URLS])]}}


def value_set(rng: random.Random, number: int) -> Json:
    found = {"resourceType": "ValueSet", "id": f"v{number}", "status": "active"}
    return found | ({"url": rng.choice(URLS)} if number else {}) | meta(rng)


def subject(rng: random.Random) -> Json:
    return rng.choice([
        {"reference": f"Patient/p{rng.randrange(5)}"},
        {"reference": f"Patient/p{rng.randrange(5)}", "identifier": identifier(rng)},
        {"identifier": identifier(rng)},
        {"reference": "https://elsewhere.example/fhir/Patient/p1"},
        {"display": "somebody"},
        {"reference": "Group/g0"},
    ])  # fmt: skip


def observation(rng: random.Random, number: int) -> Json:
    found: Json = {"resourceType": "Observation", "id": f"o{number}", "status": rng.choice(["final", "amended"]),
                   "code": concept(rng)}  # fmt: skip
    if rng.random() < 0.5:
        found["category"] = [concept(rng)]
    if rng.random() < 0.8:
        found["subject"] = subject(rng)
    roll = rng.random()
    if roll < 0.5:
        found["effectiveDateTime"] = date_time(rng)
    elif roll < 0.8:
        found["effectivePeriod"] = period(rng)
    found |= rng.choice([
        {}, {"valueQuantity": quantity(rng)}, {"valueCodeableConcept": concept(rng)},
        {"valueString": rng.choice(FAMILIES)}, {"valueDateTime": date_time(rng)},
    ])  # fmt: skip
    if rng.random() < 0.5:
        found["component"] = [component(rng) for _ in range(rng.choice([1, 2]))]
    return found | meta(rng)


def component(rng: random.Random) -> Json:
    value = rng.choice([{"valueQuantity": quantity(rng)}, {"valueCodeableConcept": concept(rng)}])
    return {"code": concept(rng)} | value


def encounter(rng: random.Random, number: int) -> Json:
    found: Json = {"resourceType": "Encounter", "id": f"e{number}", "status": "finished", "class": {"code": "AMB"}}
    if rng.random() < 0.7:
        found["period"] = period(rng)
    if rng.random() < 0.6:
        stays = range(rng.choice([1, 2]))
        found["location"] = [{"location": {"display": "ward"}, "period": period(rng)} for _ in stays]
    if rng.random() < 0.5:
        found["length"] = quantity(rng) | {"system": UCUM, "code": "mg", "unit": "mg"}
    if rng.random() < 0.8:
        found["subject"] = subject(rng)
    return found | meta(rng)


def records(seed: int) -> list[Json]:
    rng = random.Random(seed)
    found = [{"resourceType": "Group", "id": "g0", "type": "person", "actual": True}]
    found += [patient(rng, number) for number in range(30)]
    found += [observation(rng, number) for number in range(70)]
    found += [value_set(rng, number) for number in range(20)]
    found += [location(rng, number) for number in range(25)]
    return found + [encounter(rng, number) for number in range(30)]

"""Locations near a point: `near=latitude|longitude|distance|units`. https://hl7.org/fhir/R4/location.html#search

Stored are keyed hashes of the cells of four grids (10°, 1°, 0.1°, 0.01°) that a position lies in, never the position. A
circle is covered by cells of the finest grid of which few do; the distance of what they hold is then measured on the
opened resource, along the surface of a sphere.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from math import asin, cos, degrees, floor, radians, sin, sqrt
from typing import Any

from hie.errors import InvalidSearch
from hie.fhir import datatypes, ucum
from hie.store.search.blinding import Form, Hash
from hie.store.search.clauses import CODE, AnyToken, Clause, Present, Token
from hie.store.search.syntax import split, unescape

PARAMETER = "near"
#: Mean radius of the Earth in metres.
RADIUS = 6_371_008.8
#: Where the client names no distance; the specification leaves it to the server.
DEFAULT_KILOMETRES = 50
#: How many cells of a grid stand side by side in one degree, as (cells, degrees).
_GRIDS = ((1, 10), (1, 1), (10, 1), (100, 1))
MOST_CELLS = 200
#: Wider than any rounding, narrower than any position is known (a tenth of a millimetre).
_MARGIN = 1e-9
DISTANCE = "http://hl7.org/fhir/StructureDefinition/location-distance"


@dataclass(frozen=True, slots=True)
class Near:
    """One alternative; `metres` around a point, `unit` as it was asked for."""

    latitude: float
    longitude: float
    metres: float
    unit: str


def position(resource: dict[str, Any]) -> tuple[float, float] | None:
    """Return latitude and longitude of a Location; None where it has none on the globe."""
    found = resource.get("position") if resource.get("resourceType") == "Location" else None
    if type(found) is not dict:
        return None
    latitude: Any = found.get("latitude")
    longitude: Any = found.get("longitude")
    if not isinstance(latitude, int | Decimal) or not isinstance(longitude, int | Decimal):
        return None
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):  # before floats are made of them: digits have no end
        return None
    return float(latitude), float(longitude)


def index(resource: dict[str, Any]) -> Iterator[Form]:
    """Yield what is hashed for a position."""
    found = position(resource)
    if found is not None:
        for level in range(len(_GRIDS)):
            yield _form(level, _row(level, found[0]), _column(level, found[1]))


def _form(level: int, row: int, column: int) -> Form:
    return "cell", str(level), str(row), str(column % _columns(level))


def _row(level: int, latitude: float) -> int:
    cells, step = _GRIDS[level]
    return floor((latitude + 90) * cells / step)


def _column(level: int, longitude: float) -> int:
    cells, step = _GRIDS[level]
    return floor((longitude + 180) * cells / step)


def _columns(level: int) -> int:
    cells, step = _GRIDS[level]
    return 360 * cells // step


# ---- asking ----------------------------------------------------------------------------------------------------------


def parse(text: str, name: str) -> Near:
    """Read one alternative; kilometres unless units are said."""
    parts = [unescape(part).strip() for part in split(text, "|")]
    if not 2 <= len(parts) <= 4:
        raise InvalidSearch(f"{name}={text[:80]}: near is written latitude|longitude|distance|units.")
    latitude, longitude = (_degrees(part, limit, text, name) for part, limit in zip(parts, (90, 180), strict=False))
    distance = parts[2] if len(parts) > 2 else ""
    code = (parts[3] if len(parts) > 3 else "") or "km"
    unit = ucum.unit(code)
    if unit is None or unit.canonical != "m1":
        raise InvalidSearch(f"{name}={text[:80]}: {code[:40]!r} is no UCUM unit of length, such as km, m or [mi_i].")
    if not distance:
        return Near(latitude, longitude, DEFAULT_KILOMETRES * 1000.0, "km")
    try:
        metres = unit.convert(datatypes.parse_number(distance))
    except datatypes.DatatypeError:
        raise InvalidSearch(f"{name}={text[:80]}: {distance[:40]!r} is no distance.") from None
    if metres < 0:
        raise InvalidSearch(f"{name}={text[:80]}: a distance is not negative.")
    return Near(latitude, longitude, metres, code)


def _degrees(part: str, limit: int, text: str, name: str) -> float:
    try:
        value = float(datatypes.parse_number(part))
    except datatypes.DatatypeError:
        value = limit + 1.0
    if abs(value) > limit:
        which = "latitude" if limit == 90 else "longitude"
        raise InvalidSearch(f"{name}={text[:80]}: {part[:40]!r} is no {which}, from -{limit} to {limit} degrees.")
    return value


def where(value: Near, hash_: Hash, bit: int) -> Clause:
    """Return the candidates; of a circle that most of the Earth lies in, everything that has a position (`bit`)."""
    for level in reversed(range(len(_GRIDS))):
        cells = _cover(value, level)
        if cells is not None:
            found = tuple(dict.fromkeys(hash_(*_form(level, row, column)) for row, column in cells))
            return Token(found[0], CODE) if len(found) == 1 else AnyToken(found, CODE)
    return Present(bit)


def _cover(value: Near, level: int) -> list[tuple[int, int]] | None:
    """Return the cells of a grid in which a circle lies; None where they are too many."""
    angle = value.metres / RADIUS
    height = degrees(angle) + _MARGIN
    south, north = value.latitude - height, value.latitude + height
    rows = range(_row(level, max(south, -90.0)), _row(level, min(north, 90.0)) + 1)
    if south <= -90 or north >= 90:  # a pole is inside, and with it every longitude
        columns = range(_columns(level))
    else:
        width = degrees(asin(min(1.0, sin(angle) / cos(radians(value.latitude))))) + _MARGIN
        first, last = _column(level, value.longitude - width), _column(level, value.longitude + width)
        columns = range(first, min(last, first + _columns(level) - 1) + 1)
    if len(rows) * len(columns) > MOST_CELLS:
        return None
    return [(row, column) for row in rows for column in columns]


def matches(value: Near, resource: dict[str, Any]) -> bool:
    """Tell whether a Location lies within the distance."""
    found = position(resource)
    return found is not None and metres(value, found) <= value.metres


def metres(value: Near, place: tuple[float, float]) -> float:
    """Return how far a place is from the point."""
    return metres_between(place, (value.latitude, value.longitude))


def distance(value: Near, far: float) -> dict[str, Any]:
    """Return the extension that says how far a Location is, in the unit asked for."""
    unit = ucum.unit(value.unit)
    assert unit is not None  # noqa: S101 - parse() looked
    amount = {"value": round(far / float(unit.factor), 4), "unit": value.unit, "system": ucum.SYSTEM,
              "code": value.unit}  # fmt: skip
    return {"url": DISTANCE, "valueDistance": amount}


def metres_between(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Return the distance of two points by the haversine formula."""
    (lat1, long1), (lat2, long2) = (tuple(map(radians, point)) for point in (one, other))
    half = sin((lat2 - lat1) / 2) ** 2 + cos(lat1) * cos(lat2) * sin((long2 - long1) / 2) ** 2
    return 2 * RADIUS * asin(min(1.0, sqrt(half)))

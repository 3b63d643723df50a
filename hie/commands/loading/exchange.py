"""What `hie load` asks of a server, and what the answers say."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from hie.commands.connection import Answer, Connection, ExchangeError, issue_text
from hie.commands.loading.units import Unit

#: A batch has at most so many entries.
BATCH_ENTRIES = 100
#: Code of a unit whose answer never came.
LOST = "answer-lost"
#: Issue codes that another pass may cure: what was pointed at may have been loaded meanwhile.
CURABLE = frozenset({"not-found", "conflict", "deleted", "transient", "throttled", LOST})
#: Methods of entries whose answer tells by its time of change alone whether anything was changed.
_UPDATING = frozenset({"PUT", "PATCH"})


@dataclass(frozen=True, slots=True)
class Refusal:
    """One thing a server (or the reading of a file) refused: where, and the issue's text."""

    source: str
    entry: str
    code: str
    text: str

    def __str__(self) -> str:
        return " ".join(part for part in (self.source, self.entry, f"{self.code}:", self.text) if part)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one unit: (type, "created" | "updated" | "unchanged" | "deleted") of each entry, or refusals."""

    unit: Unit
    stored: tuple[tuple[str, str], ...]
    refusals: tuple[Refusal, ...] = ()


class Exchange:
    """A FHIR server, spoken to by several threads at once."""

    def __init__(self, url: str, token: str, *, parallel: int = 1, patient: str | None = None) -> None:
        self.url = url.rstrip("/")
        self._patient = patient
        headers = {"Authorization": f"Bearer {token}", "Prefer": "return=minimal"}
        self._connection = Connection(url, headers, parallel=parallel)
        self._request = self._connection.request
        self.stop, self.pause, self.close = self._connection.stop, self._connection.pause, self._connection.close
        self._started = time.time()
        self._begun = time.monotonic()

    def meet(self) -> None:
        """Make sure that a FHIR server is there, and learn what its clock says."""
        answer = self._connection.meet()
        with contextlib.suppress(KeyError, ValueError):
            # The header tells whole seconds: what was stored earlier in this one is told apart from the next one on.
            self._started = parsedate_to_datetime(answer.headers["Date"]).timestamp() + 1
            self._begun = time.monotonic() + 1

    def send(self, units: Sequence[Unit], *, as_one: bool = False) -> list[Outcome]:
        """Send one transaction, one DICOM file, or several entries: in a batch, or as one transaction first."""
        unit = units[0]
        if any(method in _UPDATING for each in units for _, method in each.entries):
            self.pause(max(0.0, self._begun - time.monotonic()))
        if unit.kind == "binary":
            return [self._send_binary(unit)]
        if unit.kind == "transaction":
            return [self._send_transaction(unit)]
        if as_one and len(units) > 1:
            return self._send_as_one(units)
        return self._send_batch(units)

    def is_stored(self, unit: Unit) -> bool | None:
        """Ask by identifier whether a unit whose answer was lost is stored; None: it has no identifier to ask by."""
        if unit.identity is None:
            return None
        type_name, token = unit.identity
        answer = self._request(
            "GET", f"{self.url}/{type_name}", repeatable=True, params={"identifier": token, "_count": "1"}
        )
        if answer.status != 200:
            return None
        return bool(answer.json().get("entry"))

    def _send_binary(self, unit: Unit) -> Outcome:
        headers = {"Content-Type": "application/dicom"}
        if self._patient:
            headers["X-Security-Context"] = self._patient  # https://hl7.org/fhir/R4/binary.html#security-context
        answer = self._request("POST", f"{self.url}/Binary", content=unit.body, headers=headers)
        if answer.status in (200, 201):
            return Outcome(unit, (("Binary", "created"),))
        return Outcome(unit, (), refusals(unit.source, answer.status, answer.json()))

    def _send_transaction(self, unit: Unit) -> Outcome:
        answer = self._post_bundle(unit.body, unit.repeatable)
        if answer.status != 200:
            return Outcome(unit, (), refusals(unit.source, answer.status, answer.json()))
        responses = _responses(answer, len(unit.entries))
        stored = (self._effect(e, r) for e, r in zip(unit.entries, responses, strict=True))
        return Outcome(unit, tuple(effect for effect in stored if effect))

    def _send_as_one(self, units: Sequence[Unit]) -> list[Outcome]:
        """Send entries as one transaction, which servers store much faster than each by itself.

        What was refused because something was not there yet is left to another pass; else each is sent by itself.
        """
        answer = self._post_bundle(_bundle("transaction", units), all(unit.repeatable for unit in units))
        if answer.status == 200:
            responses = _responses(answer, len(units))
            return [self._entry_outcome(unit, r) for unit, r in zip(units, responses, strict=True)]
        told = answer.json()
        if is_curable(refusals("", answer.status, told)):
            return [Outcome(unit, (), refusals(unit.source, answer.status, told)) for unit in units]
        parts = (units[start : start + BATCH_ENTRIES] for start in range(0, len(units), BATCH_ENTRIES))
        return [outcome for part in parts for outcome in self._send_batch(part)]

    def _send_batch(self, units: Sequence[Unit]) -> list[Outcome]:
        answer = self._post_bundle(_bundle("batch", units), all(unit.repeatable for unit in units))
        if answer.status == 200:
            responses = _responses(answer, len(units))
            return [self._entry_outcome(unit, r) for unit, r in zip(units, responses, strict=True)]
        if len(units) == 1:
            return [Outcome(units[0], (), refusals(units[0].source, answer.status, answer.json()))]
        # A refusal of the whole, for JSON that cannot be read or for its size: halves find the entry that is meant.
        middle = len(units) // 2
        return self._send_batch(units[:middle]) + self._send_batch(units[middle:])

    def _entry_outcome(self, unit: Unit, response: dict[str, Any]) -> Outcome:
        status = _status(response)
        if status >= 400:
            return Outcome(unit, (), refusals(unit.source, status, response.get("outcome") or {}))
        effect = self._effect(unit.entries[0], response)
        return Outcome(unit, (effect,) if effect else ())

    def _effect(self, entry: tuple[str, str], response: dict[str, Any]) -> tuple[str, str] | None:
        type_name, method = entry
        match method, _status(response):
            case ("GET" | "HEAD"), _:
                return None
            case "DELETE", _:
                return type_name, "deleted"
            case _, 201:
                return type_name, "created"
            case "POST", _:
                return type_name, "unchanged"  # ifNoneExist found it
        return type_name, "unchanged" if self._is_older(response) else "updated"

    def _is_older(self, response: dict[str, Any]) -> bool:
        """Tell whether the version that the server names was there before this load began."""
        try:
            modified = _timestamp(response["lastModified"])
        except (KeyError, TypeError, ValueError):
            return False
        return modified < self._started

    def _post_bundle(self, body: bytes, repeatable: bool) -> Answer:
        headers = {"Content-Type": "application/fhir+json"}
        return self._request("POST", self.url, content=body, headers=headers, repeatable=repeatable)


def is_curable(refusals_: Iterable[Refusal]) -> bool:
    """Tell whether another pass may cure what was refused."""
    return any(refusal.code in CURABLE for refusal in refusals_)


def _bundle(type_: str, units: Sequence[Unit]) -> bytes:
    return b'{"resourceType":"Bundle","type":"%s","entry":[%s]}' % (type_.encode(), b",".join(u.body for u in units))


def _responses(answer: Answer, count: int) -> list[dict[str, Any]]:
    """The response of each entry, in the order of the entries: https://hl7.org/fhir/R4/http.html#transaction-response"""
    entries = answer.json().get("entry") or []
    if len(entries) != count:
        raise ExchangeError(f"The server answered {len(entries)} of {count} entries: it is not to be trusted.")
    return [entry.get("response") or {} for entry in entries]


def _status(response: dict[str, Any]) -> int:
    leading = str(response.get("status", ""))[:3]
    return int(leading) if leading.isdigit() else 500


def _timestamp(instant: str) -> float:
    return datetime.fromisoformat(instant).timestamp()


def refusals(source: str, status: int, outcome: dict[str, Any]) -> tuple[Refusal, ...]:
    """Read what an answer refuses."""
    issues = [i for i in outcome.get("issue") or [] if i.get("severity") in ("error", "fatal")]
    if not issues:
        return (Refusal(source, "", "http", f"the server answered {status} without an OperationOutcome."),)
    return tuple(
        Refusal(source, ", ".join(i.get("expression") or ()), str(i.get("code", "")), issue_text(i)) for i in issues
    )

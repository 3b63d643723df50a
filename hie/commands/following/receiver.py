"""The server that follows: it is sent Bundles of type history, and says of each version what became of it.

docs/api/transaction.md, "A history"
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hie.commands.connection import AnswerLost, Connection, ExchangeError
from hie.commands.following.versions import Version
from hie.commands.loading.exchange import Refusal, refusals

_ENTRY = re.compile(r"Bundle\.entry\[(\d+)\]\.?", re.ASCII)
#: Issue codes about a Bundle as a whole: the entry that is named is where it became too much, no worse than others.
_TOO_MUCH = frozenset({"too-costly", "too-long", "timeout", "incomplete"})
STORED, HERE, PASSED = "stored", "here already", "passed over"


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of each version of a Bundle: STORED, HERE, or PASSED with the reason."""

    effects: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """A Bundle of which nothing was stored: what is told of each version, and of none."""

    status: int
    by_version: dict[int, list[Refusal]]
    of_all: list[Refusal]


class Receiver:
    """A FHIR server that takes histories."""

    def __init__(self, url: str, token: str) -> None:
        self._connection = Connection(url, {"Authorization": f"Bearer {token}"})
        self.url = self._connection.url
        self.close = self._connection.close

    def meet(self) -> None:
        """Make sure that a FHIR server is there."""
        self._connection.meet()

    def send(self, versions: Sequence[Version]) -> Taken | Refused:
        """Send versions, the oldest first, as one Bundle; what it holds may have come before."""
        rows = [version.entry() for version in reversed(versions)]  # a history has the newest first
        body = b'{"resourceType":"Bundle","type":"history","entry":[' + b",".join(rows) + b"]}"
        try:
            answer = self._connection.request("POST", self.url, repeatable=True, content=body,
                                              headers={"Content-Type": "application/fhir+json"})
        except AnswerLost as error:
            raise ExchangeError(f"The connection to {self.url} broke: {error}.") from error
        if answer.status == 200:
            return Taken(_effects(answer.json(), len(versions)))
        if answer.status in (502, 503, 504) or 300 <= answer.status < 400:
            told = refusals("", answer.status, answer.json())[0]
            raise ExchangeError(f"{self.url} answers {answer.status}: {told.text}")
        return _refused(answer.status, refusals("", answer.status, answer.json()), versions)


def _effects(bundle: dict[str, Any], count: int) -> tuple[tuple[str, str], ...]:
    entries = bundle.get("entry")
    if not isinstance(entries, list) or len(entries) != count:
        raise ExchangeError(f"The server answered {len(entries) if isinstance(entries, list) else 0} of {count} "
                            "entries: it is not to be trusted.")
    return tuple(_effect(entry.get("response") or {}) for entry in reversed(entries))


def _effect(response: dict[str, Any]) -> tuple[str, str]:
    if "lastModified" in response:
        return STORED, ""
    if "etag" in response:
        return HERE, ""
    issues = (response.get("outcome") or {}).get("issue") or [{}]
    return PASSED, str(issues[0].get("diagnostics", ""))


def _refused(status: int, told: Sequence[Refusal], versions: Sequence[Version]) -> Refused:
    """Give what is told of an entry to its version, named as the source does."""
    by_version: dict[int, list[Refusal]] = defaultdict(list)
    of_all = []
    for one in told:
        found = _ENTRY.search(one.entry)
        index = len(versions) - 1 - int(found[1][:9]) if found is not None else -1
        is_of_one = len(versions) == 1 or one.code not in _TOO_MUCH
        if 0 <= index < len(versions) and is_of_one:
            by_version[index].append(Refusal(versions[index].key, _ENTRY.sub("", one.entry), one.code, one.text))
        else:
            of_all.append(one)
    return Refused(status, by_version, of_all)

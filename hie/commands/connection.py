"""The connection of a command to a FHIR server: retries with back-off, and answers of a bounded size."""

from __future__ import annotations

import random
import ssl
import threading
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any

import httpx
import orjson

MAX_TRIES = 8
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 15.0
#: A server may ask (Retry-After) to be left alone for so long; who asks for more is asked again after it.
LONGEST_ASKED = 300.0
#: An answer that takes longer, or is larger, is broken off.
LONGEST_ANSWER, LARGEST_ANSWER = 900.0, 256_000_000
TRANSIENT = frozenset({429, 502, 503, 504})
#: Errors after which the server cannot have received the request.
_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_GZIP = 16 + zlib.MAX_WBITS


@cache
def _trusted() -> ssl.SSLContext:
    """Return whose certificates are trusted; to read them takes 0.03 s, for every connection."""
    return httpx.create_ssl_context(trust_env=False)


class ExchangeError(Exception):
    """The command cannot go on: no such server, it refuses the token, or what it answers is none."""


class AnswerTooLarge(ExchangeError):
    """A server answers more than is read."""


class AnswerLost(Exception):
    """The connection broke after a request left that must not be sent twice."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    def json(self) -> dict[str, Any]:
        """The JSON object that is the body; an empty one where it is none."""
        try:
            value = orjson.loads(self.content)
        except orjson.JSONDecodeError:
            return {}
        return value if isinstance(value, dict) else {}


class Connection:
    """A FHIR server, spoken to by several threads at once."""

    def __init__(
        self, url: str, headers: Mapping[str, str], *, parallel: int = 1, largest_answer: int = LARGEST_ANSWER
    ) -> None:
        self.url = url.rstrip("/")
        self._largest_answer = largest_answer
        self._stop = threading.Event()
        self._client = httpx.Client(
            headers={"Accept": "application/fhir+json", **headers, "Accept-Encoding": "gzip"},
            timeout=httpx.Timeout(300, connect=10),
            limits=httpx.Limits(max_connections=parallel, max_keepalive_connections=parallel),
            trust_env=False,
            verify=_trusted(),
            follow_redirects=False,  # the headers say who asks: they go nowhere else
        )

    def meet(self) -> Answer:
        """Make sure that a FHIR server is there, and return its CapabilityStatement."""
        answer = self.request("GET", f"{self.url}/metadata", repeatable=True)
        if answer.status != 200 or answer.json().get("resourceType") != "CapabilityStatement":
            raise ExchangeError(
                f"{self.url} is not the base of a FHIR server: GET metadata answered {answer.status}. "
                "The base of this server ends with /fhir."
            )
        return answer

    def has(self, url: str) -> bool:
        """Tell whether an address is at the server's own origin."""
        try:
            ours, other = httpx.URL(self.url), httpx.URL(url)
        except httpx.InvalidURL:
            return False
        return (ours.scheme, ours.host, _port(ours)) == (other.scheme, other.host, _port(other)) and not other.userinfo

    def request(self, method: str, url: str, *, repeatable: bool = False, **given: Any) -> Answer:
        """Ask until the server is not busy, at most MAX_TRIES times; ExchangeError, AnswerLost."""
        for tried in range(1, MAX_TRIES + 1):
            last = tried == MAX_TRIES or self._stop.is_set()
            pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (tried - 1)) * random.uniform(0.8, 1.2)  # noqa: S311
            try:
                answer = self._once(method, url, given)
            except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
                raise ExchangeError(f"{url} is not an HTTP address: {error}") from error
            except _NEVER_SENT as error:
                if last:
                    raise ExchangeError(f"{self.url} cannot be reached: {error}") from error
            except httpx.TransportError as error:
                if not repeatable or last:
                    raise AnswerLost(str(error) or type(error).__name__) from error
            else:
                if answer.status == 401:
                    raise ExchangeError(f"{self.url} refuses the token: {outcome_text(answer.json())}")
                if answer.status not in TRANSIENT or last:
                    return answer
                pause = max(pause, _retry_after(answer))
            self.pause(pause)
        raise AssertionError("the last try returns or raises")

    def stop(self) -> None:
        """Let requests under way end, and let nothing be tried again."""
        self._stop.set()

    def pause(self, seconds: float) -> None:
        """Wait, unless the command is being stopped."""
        self._stop.wait(seconds)

    def close(self) -> None:
        self._client.close()

    def _once(self, method: str, url: str, given: dict[str, Any]) -> Answer:
        with self._client.stream(method, url, **given) as response:
            return Answer(response.status_code, response.headers, self._read(response))

    def _read(self, response: httpx.Response) -> bytes:
        """Read an answer, and no more of it than may be: a few bytes of gzip can stand for any number."""
        packed = response.headers.get("Content-Encoding", "identity").lower()
        if packed not in ("identity", "gzip"):
            raise ExchangeError(f"{self.url} answers in the encoding {packed[:40]!r}, which was not asked for.")
        unpacking = zlib.decompressobj(_GZIP) if packed == "gzip" else None
        content, until = bytearray(), time.monotonic() + LONGEST_ANSWER
        for part in response.iter_raw():
            try:
                content += unpacking.decompress(part, self._largest_answer + 1 - len(content)) if unpacking else part
            except zlib.error as error:
                raise ExchangeError(f"{self.url} answers what is no gzip: {error}") from error
            if len(content) > self._largest_answer:
                raise AnswerTooLarge(f"{self.url} answers more than {self._largest_answer // 1_000_000} MB at once.")
            if time.monotonic() > until:
                raise ExchangeError(f"{self.url} takes more than {LONGEST_ANSWER:.0f} s to answer.")
        if unpacking is not None and content and not unpacking.eof:
            raise httpx.RemoteProtocolError("the answer ends before its gzip does")
        return bytes(content)


def outcome_text(outcome: dict[str, Any]) -> str:
    """The texts of an OperationOutcome."""
    issues = outcome.get("issue")
    return " ".join(issue_text(one) for one in issues if isinstance(one, dict)) if isinstance(issues, list) and issues \
        else "no reason is given."


def issue_text(issue: dict[str, Any]) -> str:
    """The text of one issue."""
    details = issue.get("details")
    return str(issue.get("diagnostics") or (details.get("text") if isinstance(details, dict) else None) or "")


def _port(url: httpx.URL) -> int | None:
    return url.port or {"http": 80, "https": 443}.get(url.scheme)


def _retry_after(answer: Answer) -> float:
    """Read Retry-After, seconds or a date: RFC 9110 section 10.2.3"""
    text = answer.headers.get("Retry-After", "")
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), LONGEST_ASKED)
    try:
        seconds = parsedate_to_datetime(text).timestamp() - time.time()
    except (TypeError, ValueError, IndexError, OverflowError):
        return 0.0
    return min(max(seconds, 0.0), LONGEST_ASKED)

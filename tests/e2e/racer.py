"""One of several processes that ask for the same conditional interactions at once: see test_two_processes.py."""

from __future__ import annotations

import json
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from hie.app import Application
from hie.fhir.http import Conditions, FhirRequest, FhirResponse
from hie.settings import Settings
from tests.builders import SYSTEM, bundle, patient, post, practitioner

THREADS = 4


def create(number: int, _reverse: bool) -> FhirRequest:
    criteria = Conditions(if_none_exist=f"identifier={SYSTEM}|create-{number}")
    return FhirRequest("create", "Patient", resource=patient(identifier=f"create-{number}"), conditions=criteria,
                       method="POST")


def update(number: int, _reverse: bool) -> FhirRequest:
    identifier = f"update-{number}"
    return FhirRequest("update", "Patient", resource=patient(identifier=identifier), method="PUT",
                       parameters=(("identifier", f"{SYSTEM}|{identifier}"),))


def transaction(number: int, reverse: bool) -> FhirRequest:
    """Two conditional creates, which each process asks for in its own order: the locks must not hold each other."""
    entries = [post(practitioner(f"{letter}-{number}"), ifNoneExist=f"identifier={SYSTEM}|{letter}-{number}")
               for letter in "ab"]
    return FhirRequest("transaction", resource=bundle(*(reversed(entries) if reverse else entries)), method="POST")


def main(rounds: int, reverse: bool) -> None:
    """Say that the process is ready, wait for a line, race, and print what was answered."""
    application = Application.open(Settings.from_env())
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()

    def sent(request: FhirRequest) -> FhirResponse:
        ctx = application.context()
        return ctx.dispatch(request, ctx)

    answered: dict[str, Any] = {}
    with ThreadPoolExecutor(THREADS) as pool:
        for make in (create, update, transaction):
            requests = [make(number, reverse) for number in range(rounds) for _ in range(2)]
            answers = list(pool.map(sent, requests))
            statuses = Counter(str(answer.status) for answer in answers)
            made = sum((answer.content or b"").count(b"201 Created") for answer in answers)
            answered[make.__name__] = {**statuses, "made": made}
    application.close()
    sys.stdout.write(json.dumps(answered))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2] == "reverse")

"""Conditional interactions of several processes at once (D14): https://hl7.org/fhir/R4/http.html#ccreate"""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

from hie.commands.serve import environment
from hie.store.search import conditions
from tests.builders import SYSTEM

ROUNDS = 12


def raced(settings):
    """Let two processes of several threads ask for the same, and add up what they were answered."""
    variables = {**os.environ, **environment(settings), "PYTHONPATH": str(Path(__file__).parents[2])}
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.e2e.racer", str(ROUNDS), order], env=variables, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for order in ("forward", "reverse")
    ]  # fmt: skip
    try:
        assert [process.stdout.readline() for process in processes] == ["ready\n"] * 2
        for process in processes:
            process.stdin.write("\n")
            process.stdin.flush()
        outputs = [process.communicate(timeout=120)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    answers = [json.loads(output) for output in outputs]
    return {kind: sum((Counter(answer[kind]) for answer in answers), Counter()) for kind in answers[0]}


def test_what_matches_nothing_is_made_once_whoever_asks(settings, store, bind):
    answered = raced(settings)
    # each of the rounds was asked for twice by each process
    assert answered["create"] == Counter({"201": ROUNDS, "200": 3 * ROUNDS})
    assert answered["update"] == Counter({"201": ROUNDS, "200": 3 * ROUNDS})
    assert answered["transaction"] == Counter({"200": 4 * ROUNDS, "made": 2 * ROUNDS})
    bound = bind()
    for type_name, letters in (("Patient", ("create", "update")), ("Practitioner", ("a", "b"))):
        for letter in letters:
            for number in range(ROUNDS):
                found = conditions.match(bound, type_name, (("identifier", f"{SYSTEM}|{letter}-{number}"),))
                assert len(found) == 1, (letter, number)

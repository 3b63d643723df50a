"""Conditional interactions of several processes at once (D14): https://hl7.org/fhir/R4/http.html#ccreate"""

import json
import os
import socket
from collections import Counter
from contextlib import ExitStack

from hie.commands.serve import environment
from hie.store.search import conditions
from tests.builders import SYSTEM

ROUNDS = 12


def raced(settings, forks):
    """Let two processes of several threads ask for the same, and add up what they were answered."""
    variables = {**os.environ, **environment(settings)}
    with ExitStack() as stack:
        racers = []
        for order in ("forward", "reverse"):
            here, there = socket.socketpair()
            with there:
                process = forks.start(["tests.e2e.racer", str(ROUNDS), order], env=variables, stdin=there, stdout=there)
            stack.callback(process.wait)
            stack.callback(process.kill)
            here.settimeout(120)
            racers.append((stack.enter_context(here), stack.enter_context(here.makefile())))
        assert [racer.readline() for _, racer in racers] == ["ready\n"] * 2
        for here, _ in racers:
            here.sendall(b"\n")
        outputs = [racer.read() for _, racer in racers]
    answers = [json.loads(output) for output in outputs]
    return {kind: sum((Counter(answer[kind]) for answer in answers), Counter()) for kind in answers[0]}


def test_what_matches_nothing_is_made_once_whoever_asks(settings, store, bind, forks):
    answered = raced(settings, forks)
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

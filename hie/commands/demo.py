"""Show the whole way on data of its own: records, synthetic radiographs, the model's Observations, recommendations."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx

from hie.commands import sample_records
from hie.commands.failures import CommandError
from hie.commands.serve import base_address, environment, free_port, is_ready
from hie.commands.token import create
from hie.settings import Settings

DEFAULT_DIRECTORY = Path("data/demo")
START_SECONDS = 60.0
JUDGE_SECONDS = 60.0
RADIOGRAPHS_A_CLASS = 1  # one for each of the two children
RECOMMENDATIONS = 3
SEED = 7

Say = Callable[[str], None]


def demo(data_dir: Path | None, keep_serving: bool, say: Say) -> None:
    """Run the demonstration in a new data directory; with `keep_serving` until Ctrl-C."""
    directory = fresh_directory(data_dir)
    settings = Settings.from_env(data_dir=directory, host="127.0.0.1", workers=1, log_level="ERROR")
    if settings.database_url:
        raise CommandError("The demonstration uses a SQLite file of its own; unset HIE_DATABASE_URL.")
    settings = replace(settings, port=free_port("127.0.0.1", 0))
    token = create(settings, "demo", ["system/*.cruds", "admin"], 30)
    say(f"Data directory {directory}: a new SQLite database; records are sealed with keys/root.key.")
    with _Server(settings) as server:
        with httpx.Client(
            base_url=f"{server.address}/fhir",
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/fhir+json"},
            timeout=30,
            trust_env=False,
        ) as client:
            patients = _store_records(client, say)
            _judge_radiographs(client, patients, say)
            _recommend(client, patients[0], say)
        _tell_next(server.address, directory, settings, token, patients[0], keep_serving, say)
        if keep_serving:
            server.wait()


def fresh_directory(wanted: Path | None) -> Path:
    """Return a directory that is absent or empty; CommandError when the one asked for is neither."""
    if wanted is not None:
        if wanted.exists() and any(wanted.iterdir()):
            raise CommandError(f"{wanted} is not empty; the demonstration does not mix with other data.")
        return wanted
    candidate, number = DEFAULT_DIRECTORY, 1
    while candidate.exists() and any(candidate.iterdir()):
        number += 1
        candidate = DEFAULT_DIRECTORY.with_name(f"{DEFAULT_DIRECTORY.name}-{number}")
    return candidate


class _Server:
    """`hie serve` as a child process on a free loopback port."""

    def __init__(self, settings: Settings) -> None:
        self.address = base_address(settings)
        # In a session of its own, so that Ctrl-C reaches this process alone; supervised, so that it never outlives it.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "hie.cli", "serve", "--supervised"],
            env={**os.environ, **environment(settings)},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )

    def __enter__(self) -> _Server:
        until = time.monotonic() + START_SECONDS
        while not is_ready(self.address):
            if self._process.poll() is not None or time.monotonic() > until:
                self._end()
                raise CommandError("The server did not start; `hie serve` with the same settings says why.")
            time.sleep(0.05)
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def wait(self) -> None:
        """Wait for Ctrl-C, or for the server's own end."""
        try:
            self._process.wait()
        except KeyboardInterrupt:
            return

    def _end(self) -> None:
        self._process.terminate()
        self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()


def _store_records(client: httpx.Client, say: Say) -> list[str]:
    """Store the sample records and return the patients' ids."""
    bundle = sample_records.bundle()
    answer = _checked(client.post("", json=bundle))
    locations = [entry["response"]["location"] for entry in answer["entry"]]
    kinds = [entry["resource"]["resourceType"] for entry in bundle["entry"]]
    patients = [_id_of(location) for kind, location in zip(kinds, locations, strict=True) if kind == "Patient"]
    counted = ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))
    say(f"One transaction stored {len(kinds)} fictitious resources, labelled HTEST: {counted}.")
    return patients


def _judge_radiographs(client: httpx.Client, patients: list[str], say: Say) -> None:
    """Post synthetic radiographs as Media and wait for what the model says."""
    from ml.cnn.samples import sample_png, sample_radiographs

    media: list[tuple[str, str]] = []
    drawn = sample_radiographs(SEED, RADIOGRAPHS_A_CLASS)
    for (label, image), patient in zip(drawn, patients[1:], strict=True):
        resource = sample_records.radiograph(patient, base64.b64encode(sample_png(image)).decode())
        media.append((label, _checked(client.post("Media", json=resource))["id"]))
    say(f"{len(media)} synthetic radiographs (nobody's image) went in as Media; the job worker had them judged:")
    for label, id_ in media:
        finding, origin = _finding(_wait_for_observation(client, id_))
        say(f"  drawn as {label}: {finding}")
        say(f"    {origin}")


def _wait_for_observation(client: httpx.Client, media: str) -> dict[str, Any]:
    until = time.monotonic() + JUDGE_SECONDS
    while time.monotonic() < until:
        found = _checked(client.get("Observation", params={"derived-from": f"Media/{media}"})).get("entry", [])
        if found:
            observation: dict[str, Any] = found[0]["resource"]
            return observation
        time.sleep(0.1)
    raise CommandError(f"No Observation of Media/{media} came within {JUDGE_SECONDS:.0f} s; see the Task and the log.")


def _finding(observation: dict[str, Any]) -> tuple[str, str]:
    """What the image model says, and where it comes from."""
    said = _text(observation.get("valueCodeableConcept") or observation.get("dataAbsentReason") or {})
    figures = _components(observation)
    finding = f"{_text(observation['code'])} ({observation['code']['coding'][0]['code']}) {said.lower()}"
    if "probability" in figures:
        finding += f", probability {figures['probability']:.3f} (threshold {figures['decision-threshold']:.2f})"
    label = ", ".join(one["code"] for one in observation["meta"]["security"])
    model = observation["device"].get("display", observation["device"].get("reference"))
    return finding, f"Observation/{observation['id']}, {observation['status']}, labelled {label}, by {model}"


def _components(observation: dict[str, Any]) -> dict[str, float]:
    """Code -> value of the components that are quantities."""
    return {
        component["code"]["coding"][0]["code"]: component["valueQuantity"]["value"]
        for component in observation.get("component", [])
        if "valueQuantity" in component
    }


def _recommend(client: httpx.Client, patient: str, say: Say) -> None:
    """Attach recommendations to a patient's record."""
    answer = _checked(client.post(f"Patient/{patient}/$recommend", params={"count": str(RECOMMENDATIONS)}))
    found = [e["resource"] for e in answer.get("entry", []) if e["resource"]["resourceType"] == "Observation"]
    say(f"What patients with a history like that of Patient/{patient} have, attached as {len(found)} Observations:")
    for observation in found:
        say(f"  {_proposal(observation)}")


def _proposal(observation: dict[str, Any]) -> str:
    item, figures = _text(observation.get("valueCodeableConcept", {})), _components(observation)
    return f"{item} (score {figures['score']:.2f})" if "score" in figures else item


def _tell_next(
    address: str, directory: Path, settings: Settings, token: str, patient: str, keep_serving: bool, say: Say
) -> None:
    if keep_serving:
        say(f"Serving at {address}/fhir until Ctrl-C. Try, in another terminal:")
    else:
        address = address.replace(f":{settings.port}", ":8080")
        say(f"Try next, after `hie serve --data-dir {directory} --port 8080` (or ./run serve …) in another terminal:")
    say(f"  TOKEN={token}")
    for url in (
        f"{address}/fhir/Observation?_security=AIAST&_pretty=true",
        f"{address}/fhir/Patient/{patient}/$everything?_pretty=true",
        f"{address}/admin/status",
    ):
        say(f"  curl -H \"Authorization: Bearer $TOKEN\" '{url}'")


def _checked(answer: httpx.Response) -> dict[str, Any]:
    """Return the JSON of an answer; CommandError for a refusal."""
    content: dict[str, Any] = answer.json()
    if answer.status_code >= 400:
        issues = "; ".join(str(issue.get("diagnostics")) for issue in content.get("issue", []))
        raise CommandError(f"{answer.request.method} {answer.request.url} was answered {answer.status_code}: {issues}")
    return content


def _id_of(location: str) -> str:
    parts = location.split("/")
    return parts[parts.index("Patient") + 1]


def _text(concept: dict[str, Any]) -> str:
    coding = (concept.get("coding") or [{}])[0]
    return str(concept.get("text") or coding.get("display") or coding.get("code") or "")

"""Post real images as Media and wait for their Observations: `python -m benchmarks.images FOLDER`

FOLDER holds PNG files and a manifest.json (file, source, label). Prints how many chest images were judged and judged
rightly, how many ultrasound images the gate refused, and the time from the POST to a readable Observation, through the
worker and inline ($diagnose).
"""

from __future__ import annotations

import base64
import json
import statistics
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

from benchmarks.__main__ import exchange

PATIENCE_SECONDS = 20


class Client:
    """The FHIR API as this benchmark uses it."""

    def __init__(self, port: int, token: str) -> None:
        self._base, self._token = f"http://127.0.0.1:{port}/fhir", token

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        request = urllib.request.Request(
            self._base + path,
            data=None if body is None else json.dumps(body).encode(),
            method=method,
            headers={"Authorization": f"Bearer {self._token}", "Content-Type": "application/fhir+json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def media(self, patient: str, data: bytes) -> str:
        """Post an image and return the id of its Media."""
        content = {"contentType": "image/png", "data": base64.b64encode(data).decode()}
        resource = {
            "resourceType": "Media", "status": "completed", "subject": {"reference": f"Patient/{patient}"},
            "content": content,
        }  # fmt: skip
        return str(self.ask("POST", "/Media", resource)["id"])

    def observations(self, media: str) -> list[dict[str, Any]]:
        """Wait for the Observations derived from a Media."""
        until = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < until:
            found = self.ask("GET", f"/Observation?derived-from=Media/{media}").get("entry", [])
            if found:
                return [entry["resource"] for entry in found]
            time.sleep(0.005)
        return []


def present(observation: dict[str, Any]) -> bool | None:
    """Return the finding; None where the image was not judged."""
    value = observation.get("valueCodeableConcept")
    return None if value is None else value["coding"][0]["display"] == "Present"


def main() -> None:
    """Post every image of the folder and print the figures."""
    folder = Path(sys.argv[1])
    rows = json.loads((folder / "manifest.json").read_text())
    with exchange("sqlite", 2) as (running, token):
        client = Client(running.address[1], token)
        patients = [client.ask("POST", "/Patient", {"resourceType": "Patient"})["id"] for _ in range(2)]
        client.observations(client.media(patients[0], (folder / Path(rows[0]["file"]).name).read_bytes()))  # warm-up
        queued, inline, found = [], [], []
        for row in rows:
            data = (folder / Path(row["file"]).name).read_bytes()
            started = time.perf_counter()
            found.append((row, client.observations(client.media(patients[1], data))))
            queued.append((time.perf_counter() - started) * 1000)
        for row in rows[:16]:
            data = (folder / Path(row["file"]).name).read_bytes()
            patient = client.ask("POST", "/Patient", {"resourceType": "Patient"})["id"]
            started = time.perf_counter()
            media = client.media(patient, data)
            read = client.ask("POST", f"/Media/{media}/$diagnose", {"resourceType": "Parameters"})
            client.ask("GET", f"/Observation/{read['id']}")
            inline.append((time.perf_counter() - started) * 1000)
    chest = [(row, seen) for row, seen in found if "PneumoniaMNIST" in row["source"]]
    others = [(row, seen) for row, seen in found if "PneumoniaMNIST" not in row["source"]]
    right = sum(present(seen[0]) is (row["label"] == "pneumonia") for row, seen in chest if len(seen) == 1)
    single = sum(len(seen) == 1 for _, seen in chest)
    refused = sum(len(seen) == 1 and present(seen[0]) is None for _, seen in others)
    print(f"chest images: {len(chest)}, one Observation each: {single}, right: {right}")
    print(f"other images: {len(others)}, refused by the gate: {refused}")
    for name, values in (("through the worker", queued), ("inline", inline)):
        print(f"{name}: p50 {statistics.median(values):.0f} ms, longest {max(values):.0f} ms")


if __name__ == "__main__":
    main()

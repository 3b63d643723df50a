"""The floor: a bare Flask view that returns 2 kB from memory, under the same server as the exchange."""

from flask import Flask, Response

app = Flask(__name__)
BODY = b'{"resourceType":"Patient","text":"' + b"x" * 2_000 + b'"}'


@app.get("/floor")
def floor() -> Response:
    return Response(BODY, mimetype="application/fhir+json")

"""The floor of an answer: a Flask route that returns a file's bytes from memory, for tests.bench.api."""

import os
from pathlib import Path

from flask import Flask, Response

app = Flask("floor", static_folder=None)
BODY = Path(os.environ["BENCH_BODY"]).read_bytes()


@app.get("/api/algorithms")
def same() -> Response:
    return Response(BODY, mimetype="application/json")

"""What the page's process loads: a wall that is only looked at needs no broker, and none needs pandas."""

import json
import subprocess
import sys

from orchestra.base.settings import ROOT
from orchestra.simulator import Exchange

HEAVY = ("pandas", "numpy", "alpaca.trading", "alpaca.data")
PROGRAM = """
import json, sys
from api_server import app
page = app.test_client()
def loaded():
    return [name for name in sys.argv[1:] if name in sys.modules]
seen = {"at start": loaded()}
assert page.get("/api/algorithms").status_code == 200
assert page.get("/api/health").status_code == 200
seen["looked at"] = loaded()
answer = page.get("/api/account/cash")
assert answer.status_code == 200, answer.text
token = page.post("/api/validate-pin", json={"pin": "2020"}).json["token"]
card = {"ticker": "AAPL", "algorithm_type": "sma_crossover", "initial_capital": 1000}
answer = page.post("/api/algorithms", json=card, headers={"Authorization": f"Bearer {token}"})
assert answer.status_code == 201, answer.text
seen["a card was added"] = loaded()
print(json.dumps(seen))
"""


def test_the_page_loads_no_pandas_and_the_brokers_client_only_when_it_is_asked(
    exchange: Exchange,
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *HEAVY, "alpaca"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "at start": [],
        "looked at": [],
        "a card was added": ["alpaca"],
    }

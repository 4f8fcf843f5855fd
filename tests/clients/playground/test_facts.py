"""What the model's card says of it."""

import json
import subprocess
from typing import Any

import pytest

from service.http.openapi.examples import MODEL, ROLLOUT
from tests.paths import ROOT

MODELS = (ROOT / "service" / "playground" / "models.js").as_uri()


def facts_of(model: dict[str, Any]) -> dict[str, str]:
    script = f"import {{ factsOf }} from {json.dumps(MODELS)};"
    script += f"console.log(JSON.stringify(factsOf({json.dumps(model)})));"
    command = ["node", "--input-type=module", "--eval", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return dict(json.loads(done.stdout))


def test_a_version_that_is_not_on_trial_says_nothing_of_it() -> None:
    assert "On trial" not in facts_of(MODEL)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, "canary at 5%, 98.3% agreement on 1,184 photos"),
        ({"phase": "waiting", "agreement": None}, "canary waiting"),
        (
            {"mode": "shadow", "phase": "taken_back", "reason": "its process ended"},
            "shadow taken back, 98.3% agreement on 1,184 photos: its process ended",
        ),
    ],
)
def test_how_a_trial_goes(changes: dict[str, Any], told: str) -> None:
    status = {**MODEL["status"], "rollout": {**ROLLOUT, **changes}}
    assert facts_of({**MODEL, "status": status})["On trial"] == told

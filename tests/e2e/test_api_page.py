"""docs/api.md: its requests are answered, its parameters and errors are the service's."""

import json
import re
import subprocess

import pytest

from service.http.openapi.examples import DETAILS, problem
from service.parameters import ClassifyParameters, DetectParameters
from service.problems import KINDS
from tests.docs.pages import DOCS, block_with
from tests.e2e.server import Server
from tests.paths import ROOT

PAGE = (DOCS / "api.md").read_text()
REQUESTS = block_with(DOCS / "api.md", "sh", "curl").strip().splitlines()
CODE = re.compile(r"`(\w+)`")


@pytest.mark.parametrize("number", range(len(REQUESTS)))
def test_each_form_is_answered(number: int, server: Server) -> None:
    command = REQUESTS[number].replace("http://localhost:3000", server.url)
    reply = subprocess.check_output(["bash", "-euc", command], cwd=ROOT, timeout=60)
    results = json.loads(reply)["results"]
    assert results[0]["detections"][0]["label"] == "cat"
    assert len(results) == command.count("images=@") or 1


def test_parameters_are_those_of_the_service() -> None:
    rows = set(re.findall(r"^\| `(\w+)` \| (both|detect|classify) \|", PAGE, re.MULTILINE))
    detect, classify = DetectParameters.model_fields, ClassifyParameters.model_fields
    expected = {(name, "both" if name in classify else "detect") for name in detect}
    assert rows == expected | {(name, "classify") for name in classify if name not in detect}


def test_every_code_is_listed_with_its_status() -> None:
    rows = re.findall(r"^\| (\d{3}) \| (.*) \|$", PAGE, re.MULTILINE)
    listed = {code: int(status) for status, text in rows for code in CODE.findall(text)}
    assert listed == {code: kind.status for code, kind in KINDS.items()}


def test_retryable_codes_are_marked() -> None:
    rows = re.findall(r"^\| \d{3} \| (.*) \|$", PAGE, re.MULTILINE)
    marked = {
        code
        for text in rows
        for codes, both in re.findall(r"([^()]*?(?:, )?`\w+`) \((both )?retryable\)", text)
        for code in (CODE.findall(codes) if both else CODE.findall(codes)[-1:])
    }
    assert marked == {code for code, kind in KINDS.items() if kind.retryable}


def test_the_printed_problem_is_the_services() -> None:
    printed = json.loads(block_with(DOCS / "api.md", "json", "about:blank"))
    assert printed["detail"] == DETAILS["unknown_parameter"]
    assert printed == problem("unknown_parameter")

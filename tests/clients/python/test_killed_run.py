"""A run that is killed itself goes on where it was, with whatever its journal has."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.clients.python.scripted import ScriptedServer, answers, waits

COUNT, CONCURRENCY = 120, 4
SCRIPT = """
import sys
from boxport_client import Client
url, folder, journal = sys.argv[1:]
with Client(url) as client:
    for outcome in client.detect_many(folder, journal=journal, concurrency=4):
        print(outcome.photo, outcome.result.width)
"""


def test_a_killed_run_goes_on(scripted: ScriptedServer, tmp_path: Path) -> None:
    folder, journal = tmp_path / "photos", tmp_path / "journal.jsonl"
    folder.mkdir()
    for number in range(COUNT):
        (folder / f"{number:03}.jpg").write_bytes(str(number).encode())
    scripted.then = lambda handler: waits(0.01, answers(width=1000 + int(handler.body)))(handler)
    command = [sys.executable, "-c", SCRIPT, scripted.url, str(folder), str(journal)]
    run = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not journal.exists() or journal.read_bytes().count(b"\n") < COUNT // 3:
        assert time.monotonic() < deadline
        assert run.poll() is None
        time.sleep(0.005)
    run.send_signal(signal.SIGKILL)
    run.wait(10)
    asked = len(scripted.asked)
    assert asked < COUNT
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split("\n")[:-1] == [
        f"{folder / f'{number:03}.jpg'} {1000 + number}" for number in range(COUNT)
    ]
    # what was on its way when the run was killed is all that was asked twice
    assert len(scripted.asked) <= COUNT + CONCURRENCY
    head, *lines = map(json.loads, journal.read_text().splitlines())
    assert sorted(line["photo"].split()[0] for line in lines) == [
        f"{number:03}.jpg" for number in range(COUNT)
    ]
    assert head == {"boxport_journal": 1, "asked": {"call": "detect"}}

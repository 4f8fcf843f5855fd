"""A machine without Chromium and HAProxy: the tests of theirs are skipped, with the remedy."""

import os
import subprocess
import sys
from pathlib import Path

from tests.paths import ROOT

TESTS = {
    "chromium": "tests/clients/playground/test_settings.py",
    "haproxy": "tests/deploy/local_cluster/test_cluster.py",
}


def test_tests_of_missing_programs_are_skipped_with_the_remedy(tmp_path: Path) -> None:
    script = (
        "import tests.tools, pytest, sys\n"
        f"tests.tools.PATH = {str(tmp_path)!r}\n"
        f"sys.exit(pytest.main(['-q', '-p', 'no:cacheprovider', *{list(TESTS.values())}]))\n"
    )
    environment = {**os.environ, "BOXPORT_TEST_URL": "http://127.0.0.1:9"}  # starts no server
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout
    lines = done.stdout.splitlines()
    told = {line.split(" skipped: ")[1] for line in lines if " skipped: " in line}
    assert told == {
        f"{package} is missing; on Debian: sudo apt-get install {package}" for package in TESTS
    }
    assert "passed" not in lines[-1]

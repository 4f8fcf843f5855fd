"""Starting, watching and stopping what is measured."""

import sys
import time
from pathlib import Path

import httpx
import psutil
import pytest

from benchmarks.server import ServerError, running

SERVER = """
import http.server, os, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open("child", "w").write(str(child.pid))
print("serving", flush=True)
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), http.server.SimpleHTTPRequestHandler
    ).serve_forever()
"""


def test_a_server_is_ready_and_leaves_nothing_behind(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SERVER]
    with running("files", command, tmp_path, {}, "/", tmp_path / "log") as server:
        child = psutil.Process(int((tmp_path / "child").read_text()))
        before = server.usage()
        assert before.pss <= before.rss
        assert before.rss > child.memory_info().rss > 0  # of both
        with httpx.Client(base_url=server.url) as client:
            end = time.monotonic() + 0.5
            while time.monotonic() < end:
                assert client.get("/").status_code == 200
        after = server.usage()
        assert 0 < after.cpu_seconds - before.cpu_seconds < 2
        assert server.start_seconds > 0
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
    assert not server.process.is_running()


def test_one_that_ends_is_told_with_its_last_words(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "raise SystemExit('the port is mine')"]
    with (
        pytest.raises(ServerError, match="files ended while it started: the port is mine"),
        running("files", command, tmp_path, {}, "/", tmp_path / "log"),
    ):
        pass

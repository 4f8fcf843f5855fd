"""Decoders as a hardened container has them: another user, nothing to write to, few processes."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence

import pytest

from service.decoding import pool as pools
from service.imaging.formats import FORMATS
from tests.paths import ROOT

ORDINARY = 65534
# They may read what root reads, for Python may lie in root's home; nothing else is left to them.
AS_ORDINARY_USER = (
    *("setpriv", f"--reuid={ORDINARY}", f"--regid={ORDINARY}", "--clear-groups"),
    *("--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search"),
    *("--bounding-set=-all,+dac_read_search", "--no-new-privs"),
)
READ_ONLY = (
    *("unshare", "--mount", "sh", "-c"),
    "mount --bind / / && mount -o remount,bind,ro / && mount --bind /tmp /tmp &&"
    ' mount -o remount,bind,ro /tmp && exec "$@"',
    "sh",
)

pytestmark = [
    pytest.mark.skipif(not pools.IS_POSSIBLE, reason="needs Linux"),
    pytest.mark.skipif(
        os.geteuid() != 0 or not (shutil.which("setpriv") and shutil.which("unshare")),
        reason="only root can become an ordinary user, and mount",
    ),
]

BEGIN = """
import io, os, resource, tempfile
from contextlib import nullcontext
from pathlib import Path
import psutil
from PIL import Image
from service.decoding.pool import DecoderPool
from service.imaging.images import DecodeOptions
from service.imaging.formats import FORMATS
from service.problems import Problem
from tests.soak.fuzz import SPEC

def file_of(image_format):
    buffer = io.BytesIO()
    Image.radial_gradient("L").resize((300, 200)).convert("RGB").save(buffer, image_format)
    return buffer.getvalue()

def decode(image_format="PNG"):
    options = DecodeOptions(SPEC, 10**6, 9, FORMATS, reduce=True, exact=False)
    return pool.decode(file_of(image_format), options, 30, lambda number: nullcontext())

assert os.getuid() != 0
pool = DecoderPool(FORMATS, 2**30, 1, print)
filtered = pool.start()
(server,) = psutil.Process().children()
"""
EVERY_FORMAT = """
try:
    tempfile.TemporaryFile()
except OSError:
    print("nothing can be written")
for image_format in FORMATS:
    print(image_format, decode(image_format).pixels.shape)
print(server.children()[0].uids().real)
"""
NO_PROCESS = """
usual = resource.prlimit(server.pid, resource.RLIMIT_NPROC)
resource.prlimit(server.pid, resource.RLIMIT_NPROC, (1, usual[1]))
server.children()[0].kill()
for _ in range(2):
    try:
        decode()
    except Problem as problem:
        print(problem.code)
resource.prlimit(server.pid, resource.RLIMIT_NPROC, usual)
print(decode().pixels.shape)
"""
NO_THREAD = """
resource.prlimit(server.children()[0].pid, resource.RLIMIT_NPROC, (1, 1))
for image_format in FORMATS:
    print(image_format, decode(image_format).pixels.shape)
"""


def said(script: str, place: Sequence[str] = ()) -> list[str]:
    """The lines that ``script`` prints when an ordinary user runs it."""
    done = subprocess.run(
        [*place, *AS_ORDINARY_USER, sys.executable, "-c", BEGIN + script],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def shapes() -> list[str]:
    return [f"{name} (64, 64, 3)" for name in FORMATS]


def test_every_format_is_decoded_where_nothing_can_be_written() -> None:
    lines = said(EVERY_FORMAT, READ_ONLY)
    assert lines == ["nothing can be written", *shapes(), str(ORDINARY)]


def test_no_room_for_another_process_is_a_problem_of_now() -> None:
    lines = said(NO_PROCESS)
    assert lines == ["idle", "overloaded", "overloaded", "(64, 64, 3)"]


def test_no_room_for_a_codecs_threads_costs_no_image() -> None:
    assert said(NO_THREAD) == shapes()

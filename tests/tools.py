"""Programs of the system that some tests need: without one, its tests are skipped."""

import os
import shutil

import pytest

PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin"  # of which only root has the last


def need(package: str, *names: str) -> str:
    """Where a program of this Debian ``package`` is, which may have other ``names``; skips the test
    if it is nowhere."""
    for name in (package, *names):
        if found := shutil.which(name, path=PATH):
            return found
    pytest.skip(f"{package} is missing; on Debian: sudo apt-get install {package}")

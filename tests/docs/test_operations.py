"""docs/operations.md: the settings that it names exist and have the defaults that it states."""

import re
import subprocess
import sys

from service.settings import Settings
from tests.docs.pages import DOCS, blocks
from tests.paths import ROOT

PAGE = (DOCS / "operations.md").read_text()
FILE_VARIABLE = "settings_file"


def test_settings_have_the_stated_defaults() -> None:
    rows = re.findall(r"^\| (`BOXPORT.*?) \| (.*?) \|$", PAGE, re.MULTILINE)
    assert len(rows) >= 7
    for names, told in rows:
        for name in re.findall(r"`BOXPORT_(\w+)`", names):
            default = Settings.model_fields[name.lower()].default
            if isinstance(default, int):
                spoken = f"{default // 2**20} MiB" if name.endswith("BYTES") else f"{default:,}"
                assert spoken in told


def test_named_settings_exist() -> None:
    for name in re.findall(r"BOXPORT_([A-Z_]+)", PAGE):
        assert name.lower() in {*Settings.model_fields, FILE_VARIABLE}, name


def test_the_command_lists_the_settings() -> None:
    arguments = blocks(DOCS / "operations.md", "sh")[0].split()[1:]
    listed = subprocess.check_output([sys.executable, *arguments], cwd=ROOT, text=True)
    assert set(Settings.model_fields) <= set(re.findall(r"^\w+", listed, re.MULTILINE))

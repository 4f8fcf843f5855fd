"""What docs/SECURITY.md promises of the limits is what holds."""

import re

from service.settings import Settings
from tests.paths import ROOT

TEXT = (ROOT / "docs" / "SECURITY.md").read_text()
HELD_BY = re.findall(r"`(tests/[\w/]+(?:\.py)?)(?:::(\w+))?`", TEXT)
ROWS = dict(re.findall(r"^\| `(\w+)` \| (\d+) \|", TEXT, re.MULTILINE))


def test_every_limit_has_the_default_that_is_written_down() -> None:
    fields = Settings.model_fields
    assert {name: fields[name].default for name in ROWS} == {n: int(v) for n, v in ROWS.items()}


def test_no_limit_is_left_out() -> None:
    """A setting called max_… or min_…, or a time limit, that is on by default."""
    limits = {
        name
        for name, field in Settings.model_fields.items()
        if name.startswith(("max_", "min_")) or name.endswith("_timeout_ms")
        if isinstance(field.default, int)
    }
    assert ROWS.keys() == limits


def test_what_is_off_is_off() -> None:
    listed = re.search(r"Off until you turn them on: (.*?)\. Before", TEXT, re.DOTALL)
    assert listed is not None
    names = re.findall(r"`(\w+)`", listed.group(1))
    assert len(names) >= 6
    for name in names:
        assert not Settings.model_fields[name].default, name


def test_whatever_holds_a_limit_is_there() -> None:
    assert len(HELD_BY) > len(ROWS)
    for name, test in HELD_BY:
        path = ROOT / name
        assert path.exists(), name
        assert not test or f"def {test}(" in path.read_text(), f"{name}::{test}"


def test_every_limit_and_every_threat_names_what_holds_it() -> None:
    """All rows but those of the head, and of processes that are not ours."""
    rows = [line for line in TEXT.splitlines() if line.startswith("| ") and "---" not in line]
    unheld = [row.split(" | ")[0] for row in rows if "`tests/" not in row]
    assert unheld == ["| attacker", "| setting", "| of"]

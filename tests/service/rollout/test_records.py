"""The file of rollouts."""

import json
from pathlib import Path

import pytest

from service.rollout.plan import Canary, Guard, Plan, Record, Shadow
from service.rollout.records import RecordFile, read_records, records_path

CANARY = Record(version="2", canary=Canary(share=0.05))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "rollouts.json"


def test_where_it_is() -> None:
    assert records_path(None, Path("store")) == Path("store/rollouts.json")
    assert records_path(Path("/etc/r.json"), Path("store")) == Path("/etc/r.json")
    assert records_path(None, Path("bentoml")) is None


def test_what_one_changes_another_reads(path: Path) -> None:
    one, other = RecordFile(path), RecordFile(path)
    assert other.read() == {}
    begun = CANARY.begun(None)
    assert one.change("pets", lambda old: begun) == {"pets": begun}
    assert other.read() == {"pets": begun}
    other.change("plants", lambda old: CANARY)
    assert one.read().keys() == {"pets", "plants"}
    one.change("pets", lambda old: None)
    assert other.read().keys() == {"plants"}


def test_a_bound_that_was_taken_away_stays_away(path: Path) -> None:
    """Its default is not none."""
    record = Record(version="2", canary=Canary(share=0.1, guard=Guard(p99_ratio=None)))
    RecordFile(path).change("pets", lambda old: record)
    assert RecordFile(path).read() == {"pets": record}


def test_a_change_is_of_what_is_there_now(path: Path) -> None:
    one, other = RecordFile(path), RecordFile(path)
    one.change("pets", lambda old: CANARY.begun(None))
    seen: list[Record | None] = []
    other.change("pets", lambda old: seen.append(old) or old)
    assert seen == [one.read()["pets"]]


def test_an_operator_writes_plans_alone(path: Path) -> None:
    path.write_text('{"pets": {"version": "3", "shadow": {"share": 0.1}}}')
    (record,) = RecordFile(path).read().values()
    assert record.plan == Plan(version="3", shadow=Shadow(share=0.1))
    assert record.state is None


@pytest.mark.parametrize(
    "content",
    [
        "{",
        '{"pets": {"version": "2"}}',
        '{"pets": {"version": "2", "shadow": {"share": 2}}}',
        '{"pets": {"version": "2", "shadow": {"share": 0.1}, "canary": {"share": 0.1}}}',
        '{"pets": {"version": "2", "canary": {"schedule": [0.5, 0.2]}}}',
        '{"pets": {"version": "2", "canary": {"share": 0.1, "sticky": "cookie a"}}}',
    ],
)
def test_what_cannot_be_read_changes_nothing(
    path: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    file = RecordFile(path)
    file.change("pets", lambda old: CANARY)
    path.write_text(content)
    assert file.read() == {"pets": CANARY}
    assert file.read() == {"pets": CANARY}
    with pytest.raises(ValueError, match=r"rollouts\.json: "):
        read_records(path)
    file.change("pets", lambda old: None)
    assert path.read_text() == content, "somebody will mend it"
    assert file.read() == {}
    said = [record for record in caplog.records if "the rollouts of before go on" in record.message]
    assert 1 <= len(said) <= 2, "once for each time that it has changed"


def test_where_it_cannot_be_written_memory_keeps_what_came_of_a_plan(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a ConfigMap, or a store that is mounted read-only."""
    path.write_text(json.dumps({"pets": {"version": "2", "canary": {"share": 0.05}}}))
    monkeypatch.setattr("os.access", lambda *arguments: False)
    file = RecordFile(path)
    begun = file.read()["pets"].begun(None)
    over = begun.moved(phase="taken_back", reason="it fails")
    file.change("pets", lambda old: over)
    assert file.read() == {"pets": over}
    assert "state" not in json.loads(path.read_text())["pets"]
    path.write_text(json.dumps({"pets": {"version": "3", "canary": {"share": 0.05}}}))
    assert file.read()["pets"].state is None, "another plan begins anew"
    file.change("pets", lambda old: begun)
    file.change("plants", lambda old: CANARY)
    assert file.read() == {"pets": begun, "plants": CANARY}, "an operator may ask for another"


def test_versions_that_were_not_promoted_stay_withheld() -> None:
    second = CANARY.begun(None)
    assert second.withheld == ("2",)
    third = Record(version="3", canary=Canary(share=0.1)).begun(second.moved(phase="taken_back"))
    assert third.withheld == ("2", "3")
    assert third.moved(phase="promoted").withheld == ("2",)
    again = CANARY.begun(third.moved(phase="promoted"))
    assert again.withheld == ("2",)


def test_shares_of_a_schedule() -> None:
    record = Record(version="2", canary=Canary(schedule=(0.05, 0.25, 1.0))).begun(None)
    assert [record.moved(step=step).share for step in range(3)] == [0.05, 0.25, 1.0]
    assert record.compared_share == 0.1
    assert record.moved(step=1).compared_share == 0.25

"""The memory of a process is the least that anything grants it."""

import resource
from pathlib import Path

import pytest

from service.imaging.cost import worst_bytes
from service.memory import available_memory
from service.settings import Settings

V1, V2 = "4:memory:/pods/one\n0::/\n", "0::/pods/one\n"


def put(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.mark.parametrize(
    ("own", "files", "expected"),
    [
        pytest.param(V2, {"memory.max": "1000\n"}, 1000, id="container"),
        pytest.param(V2, {"pods/one/memory.max": "2000\n"}, 2000, id="own"),
        pytest.param(
            V2, {"pods/one/memory.max": "max\n", "pods/memory.max": "1500\n"}, 1500, id="around"
        ),
        pytest.param(V1, {"memory/memory.limit_in_bytes": "900\n"}, 900, id="v1 container"),
        pytest.param(V1, {"memory/pods/one/memory.limit_in_bytes": "800\n"}, 800, id="v1 own"),
        pytest.param("", {"memory.max": "700\n"}, 700, id="no membership"),
    ],
)
def test_a_cgroup_bounds_it(own: str, files: dict, expected: int, tmp_path: Path) -> None:
    put(tmp_path, {**files, "own": own})
    assert available_memory(tmp_path, tmp_path / "own") == expected


def test_without_a_limit_it_is_the_machines(tmp_path: Path) -> None:
    put(tmp_path, {"own": V2, "memory.max": "max\n"})
    found = available_memory(tmp_path, tmp_path / "own")
    assert 2**28 < found < 2**50
    assert available_memory(tmp_path, tmp_path / "absent") == found


def test_a_limit_of_addresses_bounds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (12345, -1))
    assert available_memory(tmp_path, tmp_path) == 12345


@pytest.mark.parametrize(
    ("memory", "workers", "bodies", "decoding"),
    [
        (2 * 2**30, 1, 2**28, 2**30),
        (2 * 2**30, 2, 2**28, 2**30),
        (64 * 2**30, 1, 2**29, 4 * 2**30),
    ],
)
def test_bounds_follow_from_it(
    memory: int, workers: int, bodies: int, decoding: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.settings.available_memory", lambda: memory)
    settings = Settings(workers=workers)
    assert (settings.max_bytes_in_service, settings.max_decoding_bytes) == (bodies, decoding)


def test_a_bound_in_pixels_is_still_read() -> None:
    settings = Settings(max_pixels_in_service=1000, max_body_bytes=10)
    assert settings.max_decoding_bytes == worst_bytes(1000, 10)
    assert Settings(max_pixels_in_service=1000, max_decoding_bytes=77).max_decoding_bytes == 77


def test_a_pod_of_two_gigabytes_decodes_the_largest_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.settings.available_memory", lambda: 2 * 2**30)
    settings = Settings()
    assert worst_bytes(settings.max_image_pixels, 0) <= settings.max_decoding_bytes

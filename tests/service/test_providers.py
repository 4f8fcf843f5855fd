"""A provider is there or it is not: nothing is run on less than was asked for by accident."""

from pathlib import Path
from typing import Any

import onnxruntime as ort
import pytest

from service import providers
from service.providers import (
    CPU,
    OPENVINO,
    PROVIDERS,
    ExecutionProvider,
    ProviderError,
    choose_providers,
    has_bf16,
    providers_of,
)
from service.settings import ModelSettings

HERE = set(ort.get_available_providers())
MISSING = [row for row in PROVIDERS.values() if row is not OPENVINO and row.ort_name not in HERE]
here_is_openvino = pytest.mark.skipif(not OPENVINO.is_available, reason="openvino is not installed")


def test_the_cpu_is_always_there() -> None:
    assert choose_providers(["cpu"]) == [CPU]


@pytest.mark.parametrize("row", MISSING, ids=lambda row: row.name)
def test_a_missing_provider_is_refused_with_what_to_install(row) -> None:
    with pytest.raises(ProviderError) as caught:
        choose_providers([row.name])
    message = str(caught.value)
    assert message.startswith(f"{row.name}: this ONNX Runtime {ort.__version__} has no")
    assert f"install {row.install} in its place" in message
    assert "allow_fallback" in message
    assert "\n" not in message


def test_a_missing_one_among_others_is_refused_too() -> None:
    with pytest.raises(ProviderError, match=f"^{MISSING[0].name}: "):
        choose_providers(["cpu", MISSING[0].name])


def test_with_fallback_what_is_missing_is_passed_over() -> None:
    names = [row.name for row in MISSING]
    assert choose_providers(names, allow_fallback=True) == [CPU]
    assert choose_providers([*names, "cpu"], allow_fallback=True) == [CPU]


@pytest.mark.parametrize("allow_fallback", [False, True])
@pytest.mark.parametrize("name", ["gpu", "", "CPU"])
def test_an_unknown_provider_is_refused_whatever_is_allowed(
    name: str, allow_fallback: bool
) -> None:
    with pytest.raises(ProviderError, match="is no execution provider; there are tensorrt, cuda"):
        choose_providers([name], allow_fallback=allow_fallback)


def test_auto_takes_the_first_that_is_there() -> None:
    first = next(row for row in PROVIDERS.values() if row.ort_name in HERE)
    assert choose_providers(["auto"]) == [first]


def test_rows_are_those_that_onnx_runtime_knows() -> None:
    of_ort = {row.ort_name for row in PROVIDERS.values() if row is not OPENVINO}
    assert of_ort <= set(ort.get_all_providers())
    assert list(PROVIDERS)[-2:] == ["cpu", "openvino"], "auto takes it first of these"


@here_is_openvino
@pytest.mark.parametrize(
    "settings", [{"runtime": "openvino"}, {"execution_providers": ("openvino",)}]
)
def test_openvino_is_a_runtime(settings: dict[str, Any]) -> None:
    assert providers_of(ModelSettings(**settings)) == [OPENVINO]


def test_onnx_runtime_runs_what_is_run_unless_another_is_asked_for() -> None:
    assert providers_of(ModelSettings()) == [CPU]
    assert providers_of(ModelSettings(runtime="auto", precision="bf16")) == [CPU]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"runtime": "openvino", "execution_providers": ("cuda",)},
            "runtime = openvino runs on the CPU, and not on cuda; leave one out",
        ),
        (
            {"precision": "bf16"},
            "precision = bf16: ONNX Runtime does not compute in it; set runtime = openvino",
        ),
        (
            {"runtime": "openvino", "precision": "bf16"},
            "precision = bf16: this processor has no instructions for it (avx512_bf16 or amx_bf16);"
            " leave it out",
        ),
    ],
)
def test_what_openvino_cannot_do_is_refused(
    settings: dict[str, Any], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(providers, "has_bf16", lambda: False)
    monkeypatch.setattr(ExecutionProvider, "is_available", True)
    with pytest.raises(ProviderError) as caught:
        providers_of(ModelSettings(**settings))
    assert str(caught.value) == words


def test_without_its_package_openvino_is_refused_or_passed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(providers.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ProviderError, match=r"^openvino: the package openvino is not installed"):
        providers_of(ModelSettings(runtime="openvino"))
    assert providers_of(ModelSettings(runtime="openvino", allow_fallback=True)) == [CPU]


@pytest.mark.parametrize(
    ("flags", "has"),
    [("avx2 avx512f", False), ("avx512f avx512_bf16", True), ("amx_bf16", True), (None, False)],
)
def test_bfloat16_is_told_by_the_processors_flags(
    flags: str | None, has: bool, tmp_path: Path
) -> None:
    cpu_info = tmp_path / "cpuinfo"
    if flags is not None:
        cpu_info.write_text(f"processor\t: 0\nflags\t\t: fpu {flags} sse\n\nprocessor\t: 1\n")
    assert has_bf16(cpu_info) is has

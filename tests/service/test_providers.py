"""A provider is there or it is not: nothing is run on less than was asked for by accident."""

import onnxruntime as ort
import pytest

from service.providers import CPU, PROVIDERS, ProviderError, choose_providers

HERE = set(ort.get_available_providers())
MISSING = [row for row in PROVIDERS.values() if row.ort_name not in HERE]


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
    assert {row.ort_name for row in PROVIDERS.values()} <= set(ort.get_all_providers())
    assert list(PROVIDERS)[-1] == "cpu", "auto comes to it last"

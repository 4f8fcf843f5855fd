"""Settings come from the environment, and a wrong one is named."""

import pytest

from service.settings import SettingsError, read_settings


def test_environment_overrides_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOXPORT_MAX_IMAGES", "5")
    assert read_settings().max_images == 5
    assert read_settings().max_batch_size == 2


@pytest.mark.parametrize("value", ["0", "-1", "many", ""])
def test_wrong_value_is_named(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("BOXPORT_MAX_IMAGES", value)
    with pytest.raises(SettingsError, match=f"BOXPORT_MAX_IMAGES={value}: "):
        read_settings()

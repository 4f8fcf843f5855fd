"""Settings come from the environment and a file, and a wrong one is named."""

from pathlib import Path

import pytest

from service.settings import ModelSettings, Settings, SettingsError, read_settings, sources
from service.settings_table import describe
from tests.paths import ROOT


def test_environment_overrides_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOXPORT_MAX_IMAGES", "5")
    assert read_settings().max_images == 5
    assert read_settings().max_image_pixels == 64_000_000


def test_the_models_that_come_along_are_found_from_every_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert read_settings().model_store.resolve() == ROOT / "model_store"
    monkeypatch.chdir(tmp_path)
    assert read_settings().model_store.resolve() == ROOT / "model_store"


@pytest.mark.parametrize("value", ["0", "-1", "many", ""])
def test_wrong_value_is_named(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("BOXPORT_MAX_IMAGES", value)
    with pytest.raises(SettingsError, match=f"BOXPORT_MAX_IMAGES={value}: "):
        read_settings()


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The settings file, not there yet."""
    file = tmp_path / "boxport.toml"
    monkeypatch.setenv("BOXPORT_SETTINGS_FILE", str(file))
    return file


def test_environment_goes_before_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text('max_images = 7\nmax_body_bytes = 1000\npublic_keys = ["a.pub", "b.pub"]')
    monkeypatch.setenv("BOXPORT_MAX_IMAGES", "5")
    settings = read_settings()
    assert (settings.max_images, settings.max_body_bytes) == (5, 1000)
    assert settings.public_keys == (Path("a.pub"), Path("b.pub"))
    assert settings.model_store == Path("model_store")
    names = ("max_images", "max_body_bytes", "model_store")
    assert [sources()[name] for name in names] == ["environment", "file", "default"]


def test_a_table_of_the_environment_replaces_that_of_the_file(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text(
        'provider_options = {a = "1"}\n[models.x]\nmax_batch_size = 8\n'
        '[models.x.provider_options]\nq = "1"\n[models.y]\nthreads = 3\n'
    )
    assert read_settings().models["x"].provider_options == {"q": "1"}
    monkeypatch.setenv("BOXPORT_PROVIDER_OPTIONS", '{"b": "2"}')
    monkeypatch.setenv("BOXPORT_MODELS", '{"x": {"threads": 2}}')
    settings = read_settings()
    assert settings.provider_options == {"b": "2"}
    assert settings.models == {"x": ModelSettings(threads=2)}
    assert Settings(models={"z": {"threads": 1}}).models == {"z": ModelSettings(threads=1)}


def test_names_between_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOXPORT_CORS_ORIGINS", " https://a, https://b,,")
    assert read_settings().cors_origins == ("https://a", "https://b")
    monkeypatch.setenv("BOXPORT_CORS_ORIGINS", " ")
    assert read_settings().cors_origins == ()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"max_image = 3", "max_image is no setting; did you mean max_images?"),
        (b"colour = 3", "colour is no setting; there are "),
        (b"[boxport]\nmax_images = 3", "boxport is no setting; there are "),
        (b"max_images = 0", "max_images = 0: Input should be greater than 0"),
        (b"max_images = 'many'", "max_images = 'many': Input should be a valid integer"),
        (
            b"[models.a]\nmax_batch = 2",
            "models.a.max_batch is no setting; did you mean max_batch_size?",
        ),
        (b"[models.a]\nthreads = 0", "models.a.threads = 0: Input should be greater than 0"),
        (b"max_images", "Expected '=' after a key"),
        (b"\xff", "'utf-8' codec can't decode"),
    ],
)
def test_wrong_file_is_named(file: Path, content: bytes, message: str) -> None:
    file.write_bytes(content)
    with pytest.raises(SettingsError) as error:
        read_settings()
    assert str(error.value).startswith(f"{file}: {message}")
    assert "\n" not in str(error.value)


def test_file_that_is_named_must_be_there(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match=f"BOXPORT_SETTINGS_FILE={file}: there is no such file"):
        read_settings()
    monkeypatch.setenv("BOXPORT_SETTINGS_FILE", "")
    with pytest.raises(SettingsError, match="BOXPORT_SETTINGS_FILE=: there is no such file"):
        read_settings()


def test_wrong_variable_is_named_though_the_file_is_right(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text("max_images = 7")
    monkeypatch.setenv("BOXPORT_MAX_IMAGES", "many")
    with pytest.raises(SettingsError, match=r"^BOXPORT_MAX_IMAGES=many: "):
        read_settings()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ('{"a": {"thread": 2}}', "BOXPORT_MODELS: a.thread is no setting; did you mean threads?"),
        ('{"a": {"threads": 0}}', "BOXPORT_MODELS: a.threads = 0: Input should be greater than 0"),
        ('{"a": {"max_images": 2}}', "BOXPORT_MODELS: a.max_images is no setting; there are exec"),
        ("[]", "BOXPORT_MODELS=[]: Input should be a valid dictionary"),
        ("{", 'the environment: error parsing value for field "models"'),
    ],
)
def test_wrong_table_in_the_environment_is_named(
    monkeypatch: pytest.MonkeyPatch, value: str, message: str
) -> None:
    monkeypatch.setenv("BOXPORT_MODELS", value)
    with pytest.raises(SettingsError) as error:
        read_settings()
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_a_setting_is_read_by_its_former_name_too(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text("lone_threads = 3\n[models.a]\nlone_threads = 5\n[models.b]\nthreads = 1")
    settings = read_settings()
    assert settings.latency_threads == 3
    assert [settings.for_model(name).latency_threads for name in "abc"] == [5, 3, 3]
    assert sources()["latency_threads"] == "file"
    monkeypatch.setenv("BOXPORT_LONE_THREADS", "4")
    assert (read_settings().latency_threads, sources()["latency_threads"]) == (4, "environment")
    monkeypatch.setenv("BOXPORT_LATENCY_THREADS", "2")
    assert read_settings().latency_threads == 2, "the present name goes before the former"
    assert "lone_threads" not in settings.model_dump()


@pytest.mark.parametrize("name", ["latency_threads", "lone_threads"])
def test_a_variable_without_the_prefix_is_no_setting(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name.upper(), "7")
    assert read_settings().latency_threads is None


def test_every_setting_is_described() -> None:
    """By the docstring below it, in the order of the fields."""
    assert list(describe(ModelSettings, Settings)) == list(Settings.model_fields)

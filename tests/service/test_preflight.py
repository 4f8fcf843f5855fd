"""Whatever the service cannot be started with is said before it is, once, in one line."""

import shutil
import socket
from pathlib import Path

import pytest

from export.signing import make_keys, sign
from service.preflight import preflight
from tests.e2e.server import free_port
from tests.packages import CLASSIFIER, break_graph, copy_package, rename_label

NO_CUDA = "cuda: this ONNX Runtime"


def refusal(monkeypatch: pytest.MonkeyPatch, **settings: object) -> str:
    """What `bentoml serve` prints last, with these settings."""
    for name, value in settings.items():
        monkeypatch.setenv(f"BOXPORT_{name.upper()}", str(value))
    with pytest.raises(SystemExit) as caught:
        preflight()
    message = str(caught.value)
    assert message.startswith("boxport: ")
    assert "\n" not in message
    return message.removeprefix("boxport: ")


def test_the_defaults_are_fit() -> None:
    preflight()


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("max_images", "0", "BOXPORT_MAX_IMAGES=0: Input should be greater than 0"),
        ("settings_file", "nowhere.toml", "BOXPORT_SETTINGS_FILE=nowhere.toml: there is no such"),
        ("model_store", "nowhere", "nowhere: there is no such folder"),
        ("keys_file", "nowhere.json", "nowhere.json: cannot be read"),
        ("rate_limit", "1e-320", "per_second must be above 0"),
        ("public_keys", "nowhere.pem", "nowhere.pem: "),
        ("public_keys", "", "BOXPORT_PUBLIC_KEYS=: "),
        ("image_formats", "PNG,PSD", "PSD: is no format that is read"),
        ("image_hosts", "http://example.org", "http://example.org"),
        ("image_networks", "10.0.0.1/8", "10.0.0.1/8 has host bits set"),
        ("rate_limit", "0", "BOXPORT_RATE_LIMIT=0: "),
        ("execution_providers", "cuda", NO_CUDA),
        ("execution_providers", "gpu", "gpu: is no execution provider"),
        ("default_models", f"{CLASSIFIER},pets", "default_models: there is no pets; there are "),
        ("models", f'{{"{CLASSIFIER}": {{"execution_providers": ["cuda"]}}}}', NO_CUDA),
    ],
)
def test_a_setting_that_cannot_be_met(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str
) -> None:
    if name == "image_networks":
        monkeypatch.setenv("BOXPORT_IMAGE_HOSTS", "example.org")
    assert words in refusal(monkeypatch, **{name: value})


def test_a_provider_may_fall_back_if_that_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOXPORT_EXECUTION_PROVIDERS", "cuda")
    monkeypatch.setenv("BOXPORT_ALLOW_FALLBACK", "true")
    preflight()


def test_a_store_whose_only_version_is_damaged(
    monkeypatch: pytest.MonkeyPatch, store: Path, tmp_path: Path
) -> None:
    package = copy_package(store / CLASSIFIER / "1", tmp_path, "pets", 1)
    break_graph(package)
    message = refusal(monkeypatch, model_store=tmp_path)
    assert message == f"{package / 'model.onnx'}: its sha256 is not the manifest's"
    copy_package(store / CLASSIFIER / "1", tmp_path, "pets", 2)
    preflight()
    shutil.rmtree(tmp_path / "pets" / "2")
    assert "sha256" in refusal(monkeypatch, model_store=tmp_path)


def test_a_package_that_nobody_known_signed_or_that_was_changed_since(
    monkeypatch: pytest.MonkeyPatch, store: Path, tmp_path: Path
) -> None:
    package = copy_package(store / CLASSIFIER / "1", tmp_path / "store", "pets", 1)
    private, public = tmp_path / "private.pem", tmp_path / "public.pem"
    make_keys(private, public)
    settings = {"model_store": tmp_path / "store", "public_keys": public}
    assert refusal(monkeypatch, **settings).startswith(f"{package}: is not signed")
    sign(package, private)
    preflight()
    rename_label(package)
    assert "manifest.json: was changed after it was signed" in refusal(monkeypatch, **settings)


def test_a_file_of_rollouts_that_cannot_be_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A version that was taken back would be what its model's name means."""
    path = tmp_path / "rollouts.json"
    path.write_text('{"pets": {"version": "2"}}')
    said = refusal(monkeypatch, rollouts_file=path)
    assert said == f"{path}: pets: Value error, give shadow or canary, and not both"


def test_a_port_for_grpc_needs_its_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.preflight.find_spec", lambda module: None)
    preflight()  # without a port nobody looks
    said = refusal(monkeypatch, grpc_port=free_port())
    assert said.startswith("grpc_port: grpcio is not installed: pip install --group grpc")


def test_a_port_for_grpc_must_be_free(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refusal(monkeypatch, grpc_port=port)
    assert said.startswith(f"grpc_port: port {port} cannot be used: ")
    assert "BOXPORT_GRPC_PORT=70000: " in refusal(monkeypatch, grpc_port=70_000)

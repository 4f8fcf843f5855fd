"""Checks before the service starts: whether it can be served with these settings and this store."""

from importlib.util import find_spec

from service.access.control import AccessControl
from service.access.key_file import KeysError
from service.imaging.formats import enable_formats
from service.inference.decoder import check_decoding
from service.package import PackageError
from service.providers import ProviderError, providers_of
from service.repository.store import scan_store, verify_packages
from service.rollout.records import read_records, records_path
from service.serve import StartError, check_port
from service.settings import Settings, SettingsError, read_settings
from service.telemetry.logs import configure
from service.worker import make_fetcher

GRPC_PACKAGES = {
    "grpc": "grpcio",
    "grpc_health": "grpcio-health-checking",
    "grpc_reflection": "grpcio-reflection",
}


def preflight() -> None:
    """Raises SystemExit, with one line, for a wrong setting or a damaged store."""
    try:
        settings = read_settings()
        configure(settings.log_format, settings.log_level)
        found = scan_store(settings.model_store)
        names = sorted({name for name, _ in found})
        for name in names:
            providers_of(settings.for_model(name))
        for name in settings.default_models:
            if name not in names:
                known = ", ".join(names)
                raise SettingsError(f"default_models: there is no {name}; there are {known}")
        verify_packages(found, settings.public_keys)
        AccessControl(settings)
        make_fetcher(settings)
        enable_formats(settings.image_formats)
        check_decoding(settings)
        check_grpc(settings)
        if path := records_path(settings.rollouts_file, settings.model_store):
            read_records(path)  # else a version that was taken back would serve
    except (SettingsError, PackageError, ProviderError, KeysError, ValueError) as error:
        raise SystemExit(f"boxport: {error}") from error


def check_grpc(settings: Settings) -> None:
    """Raises SettingsError if gRPC is asked for, and its packages are not there or its port is
    taken."""
    if settings.grpc_port is None:
        return
    for module, package in GRPC_PACKAGES.items():
        if find_spec(module) is None:
            raise SettingsError(
                f"grpc_port: {package} is not installed: pip install --group grpc, as in"
                " pyproject.toml"
            )
    try:
        check_port(settings.grpc_port, "BOXPORT_GRPC_PORT=8002")
    except StartError as error:
        raise SettingsError(f"grpc_port: {error}") from error

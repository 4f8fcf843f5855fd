"""Checks before the service starts: whether it can be served with these settings and this store."""

from service.access.control import AccessControl
from service.access.key_file import KeysError
from service.imaging.formats import enable_formats
from service.inference.decoder import check_decoding
from service.package import PackageError
from service.providers import ProviderError, providers_of
from service.repository.store import scan_store, verify_packages
from service.rollout.records import read_records, records_path
from service.settings import SettingsError, read_settings
from service.telemetry.logs import configure
from service.worker import make_fetcher


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
        if path := records_path(settings.rollouts_file, settings.model_store):
            read_records(path)  # else a version that was taken back would serve
    except (SettingsError, PackageError, ProviderError, KeysError, ValueError) as error:
        raise SystemExit(f"boxport: {error}") from error

"""Check every package of the model store, as the service does when it opens one.

The settings `model_store` and `public_keys` are the service's own. Ends with 1 and one line at the
first package that is unfit.
"""

from service.package import PackageError, find_packages, verify_package
from service.settings import SettingsError, read_settings


def main() -> None:
    try:
        settings = read_settings()
        for folder in find_packages(settings.model_store):
            manifest = verify_package(folder, settings.public_keys)
            print(f"boxport: {manifest.name}/{manifest.version} is what its manifest says")
    except (PackageError, SettingsError) as error:
        raise SystemExit(f"boxport: {error}") from error


if __name__ == "__main__":
    main()

"""Checks every package of the model store as the service does when it loads one.

It uses the service's settings `model_store` and `public_keys`. The first package that is unfit ends
it with status 1 and one line.
"""

from service.package import PackageError, find_packages, verify_any_package
from service.settings import SettingsError, read_settings
from service.terminal import one_line_errors


def main() -> None:
    with one_line_errors(PackageError, SettingsError):
        settings = read_settings()
        for folder in find_packages(settings.model_store):
            manifest = verify_any_package(folder, settings.public_keys)
            print(f"boxport: {manifest.name}/{manifest.version} matches its manifest")


if __name__ == "__main__":
    main()

"""A model package as a file that `bentoml models import` takes."""

import os
import shutil
import tempfile
from pathlib import Path

from service.package import PackageError, verify_package


def write_archive(package: Path, output: Path) -> str:
    """Write the package ``<name>/<version>/`` to ``output``; the tag that it has in there.

    In BentoML's store it will lie as it lies here, so that the service can read it from there
    (the setting model_store, "bentoml"). Must be called before anything else imports BentoML, as it
    works in a store of its own. Raises PackageError if the package is unfit, FileExistsError if
    ``output`` exists.
    """
    manifest = verify_package(package)
    if output.exists():
        raise FileExistsError(f"{output}: exists already")
    if not output.parent.is_dir():
        raise PackageError(f"{output.parent}: there is no such folder")
    tag = f"{manifest.name}:{manifest.version}"
    with tempfile.TemporaryDirectory(prefix=".archive-", dir=output.parent) as home:
        os.environ.update(BENTOML_HOME=home, BENTOML_DO_NOT_TRACK="True")
        import bentoml  # makes its store where BENTOML_HOME says when it is imported

        with bentoml.models.create(tag) as model:
            shutil.copytree(package, model.path, dirs_exist_ok=True)
        draft = bentoml.models.export_model(tag, str(Path(home) / "archive.bentomodel"))
        Path(draft).rename(output)
    return tag

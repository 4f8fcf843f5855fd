"""Where packages are looked for, and what counts as a change of one."""

import os
from pathlib import Path

import pytest

from service.package import PackageError
from service.repository.store import fingerprint, scan_store
from tests.packages import CLASSIFIER, copy_package


@pytest.fixture
def own(store: Path, tmp_path: Path) -> Path:
    """A store of one package, pets/1."""
    copy_package(store / CLASSIFIER / "1", tmp_path / "store", "pets", 1)
    return tmp_path / "store"


def test_folders_are_found_by_name_and_version(own: Path, store: Path) -> None:
    copy_package(store / CLASSIFIER / "1", own, "cars", 3)
    found = scan_store(own)
    assert found.keys() == {("pets", "1"), ("cars", "3")}
    assert found["cars", "3"].folder == own / "cars" / "3"


@pytest.mark.parametrize("draft", ["pets/.2", ".pets/1"])
def test_hidden_folders_are_passed_over(own: Path, draft: str) -> None:
    (own / draft).mkdir(parents=True)
    (own / draft / "manifest.json").write_text("{")
    assert scan_store(own).keys() == {("pets", "1")}


def test_a_store_that_is_not_there_or_empty_is_said(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="there is no such folder"):
        scan_store(tmp_path / "missing")
    with pytest.raises(PackageError, match="holds no package"):
        scan_store(tmp_path)


def test_bentomls_store_is_read_and_foreign_models_passed_over(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    own.rename(home / "models")
    (home / "models" / "somebody" / "abcdef").mkdir(parents=True)
    (home / "models" / "somebody" / "latest").write_text("abcdef")
    monkeypatch.setenv("BENTOML_HOME", str(home))
    assert scan_store(Path("bentoml")).keys() == {("pets", "1")}


@pytest.mark.parametrize("file", ["manifest.json", "model.onnx", "SHA256SUMS", "SHA256SUMS.sig"])
def test_every_file_that_is_read_counts(own: Path, file: str) -> None:
    folder = own / "pets" / "1"
    before = fingerprint(folder)
    assert fingerprint(folder) == before
    path = folder / file
    content = path.read_bytes() if path.exists() else b""
    path.write_bytes(content + b" ")
    grown = fingerprint(folder)
    assert grown != before
    os.utime(path, ns=(1, 1))
    touched = fingerprint(folder)
    assert touched != grown
    path.unlink()
    assert fingerprint(folder) != touched


def test_what_is_not_read_does_not_count(own: Path) -> None:
    folder = own / "pets" / "1"
    before = fingerprint(folder)
    (folder / "report.html").write_text("new")
    assert fingerprint(folder) == before


def test_a_link_that_is_swapped_counts(own: Path, store: Path, tmp_path: Path) -> None:
    copy_package(store / CLASSIFIER / "1", tmp_path / "other", "pets", 1)
    link = tmp_path / "link"
    link.symlink_to(own, target_is_directory=True)
    before = scan_store(link)["pets", "1"]
    link.unlink()
    link.symlink_to(tmp_path / "other", target_is_directory=True)
    assert scan_store(link)["pets", "1"].fingerprint != before.fingerprint

"""The table of public checkpoints."""

import re

import pytest

from models.variants import VARIANTS
from models.zoo.table import ENTRIES, ZOO, ZooEntry, ZooError, find


def test_find_suggests_what_is_close() -> None:
    assert find("vgg16_bn") is ZOO["vgg16_bn"]
    with pytest.raises(ZooError, match=r"'resnet_50'; did you mean .*resnet50"):
        find("resnet_50")
    with pytest.raises(ZooError, match="list"):
        find("?")


def test_rows_are_of_our_variants() -> None:
    assert set(ZOO) - set(VARIANTS) == set()


def test_rows_have_names_and_files_of_their_own() -> None:
    assert len({entry.variant for entry in ENTRIES}) == len(ENTRIES)
    assert len({entry.url for entry in ENTRIES}) == len(ENTRIES)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.variant)
def test_row_is_plausible(entry: ZooEntry) -> None:
    assert re.fullmatch(r"https://[\w./-]+/[\w-]+\.pth", entry.url)
    assert re.fullmatch("[0-9a-f]{8}", entry.sha256_prefix)
    assert entry.file.endswith(f"-{entry.sha256_prefix}.pth")
    assert entry.variant in entry.file or entry.variant.startswith("tf_efficientnet_")
    if entry.metric == "AP":
        assert entry.data == "COCO 2017"
        assert 20 < entry.value < 60
    else:
        assert entry.data == "ImageNet-1k"
        assert 65 < entry.value < 90
    assert entry.licence in ("BSD-3-Clause", "Apache-2.0")

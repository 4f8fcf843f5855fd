"""Features are kept for as long as nothing that they depend on has changed."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from models.training.head.features import (
    HOG,
    NETWORK,
    FeatureExtractor,
    compute,
    hog_of,
    key_of,
    read_features,
    save_features,
)
from models.training.head.views import View
from models.variants import VARIANTS, at_size

SMALL = at_size(VARIANTS["resnet18"], 64)


@pytest.fixture
def views(tmp_path: Path) -> list[View]:
    for i in range(3):
        noise = np.random.default_rng(i).integers(0, 256, (70, 90, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / f"{i}.png")
    return [View(tmp_path / f"{i}.png", 0, 0) for i in range(3)]


@pytest.fixture(scope="module")
def extract() -> FeatureExtractor:
    torch.manual_seed(0)
    return FeatureExtractor(SMALL.build(4), SMALL.input, torch.device("cpu"))


def test_a_feature_is_what_the_class_layer_reads(
    extract: FeatureExtractor, views: list[View]
) -> None:
    done: list[int] = []
    features = compute(extract, views, True, done.append)
    assert sum(done) == 3
    assert features[NETWORK].shape == (3, 512)
    assert features[NETWORK].dtype == np.float32
    assert features[HOG].shape[0] == 3
    assert compute(extract, views[1:], False, done.append).keys() == {NETWORK}
    weight, bias = np.random.default_rng(0).normal(size=(2, 512)), np.array([1.0, -1.0])
    whole = SMALL.build(2)
    whole.load_state_dict(extract.with_class_layer(weight, bias).state_dict())
    pixels = [np.zeros((64, 64, 3), np.uint8)]
    extract.network.set_submodule("classifier", torch.nn.Identity())
    expected = extract(pixels) @ weight.T + bias
    black = -torch.tensor(SMALL.input.mean) / torch.tensor(SMALL.input.std)
    with torch.no_grad():
        logits = whole.eval()(black.reshape(1, 3, 1, 1).expand(1, 3, 64, 64))
    np.testing.assert_allclose(logits.numpy(), expected, rtol=1e-4, atol=1e-4)


def test_hog_is_of_edges_whatever_their_strength() -> None:
    edges = np.zeros((64, 64, 3), np.uint8)
    edges[:, 32:] = 200
    found = hog_of(edges)
    assert found.dtype == np.float32
    np.testing.assert_allclose(hog_of(edges // 2), found, atol=1e-3)
    assert np.abs(hog_of(edges.transpose(1, 0, 2)) - found).max() > 0.1
    assert hog_of(np.full((64, 64, 3), 90, np.uint8)).max() == 0


def test_features_are_found_again(
    extract: FeatureExtractor, views: list[View], tmp_path: Path
) -> None:
    path, key = tmp_path / "features.npz", key_of(extract.network, extract.spec, views, [1])
    assert read_features(path, key) is None
    kept = {NETWORK: np.ones((3, 2), np.float32), HOG: np.zeros((3, 1), np.float32)}
    save_features(path, key, kept)
    found = read_features(path, key)
    assert found is not None
    assert found.keys() == kept.keys()
    np.testing.assert_array_equal(found[NETWORK], kept[NETWORK])
    assert read_features(path, key[::-1]) is None
    path.write_bytes(path.read_bytes()[:-40])
    assert read_features(path, key) is None


def test_the_key_is_of_all_that_features_depend_on(
    extract: FeatureExtractor, views: list[View]
) -> None:
    keys = [
        key_of(extract.network, extract.spec, views, [1]),
        key_of(extract.network, extract.spec, views, [2]),
        key_of(extract.network, extract.spec, views[:2], [1]),
        key_of(extract.network, extract.spec, views[::-1], [1]),
        key_of(extract.network, at_size(SMALL, 96).input, views, [1]),
        key_of(
            extract.network, extract.spec, [View(v.path, 0, 0, (0, 0, 9, 9)) for v in views], [1]
        ),
        key_of(SMALL.build(4), extract.spec, views, [1]),
    ]
    os.utime(views[0].path, (1, 1))
    keys.append(key_of(extract.network, extract.spec, views, [1]))
    assert len(set(keys)) == len(keys)
    relabelled = [View(view.path, 1, 2) for view in views]  # which features do not depend on
    assert key_of(extract.network, extract.spec, relabelled, [1]) == keys[-1]

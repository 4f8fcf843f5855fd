"""What a model is run with, as the command line and files state it."""

from pathlib import Path

import pytest

from export.settings import (
    Settings,
    SettingsError,
    parse_anchor_sizes,
    parse_aspect_ratios,
    read_settings,
    to_anchors,
    to_input_spec,
    to_network,
    to_settings,
)
from models.anchors import FPN_ANCHORS, RETINANET_ANCHORS, efficientdet_anchors, retinanet_anchors
from models.variants import CROP_224, SHORTER_SIDE_800, VARIANTS, letterbox
from service.imaging.input_spec import CentreCrop, Letterbox, ShorterSide, Stretch

HALF = (0.5, 0.5, 0.5)
BOX = letterbox(320, HALF, HALF)


def test_what_is_stated_replaces_what_the_architecture_has() -> None:
    settings = Settings(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), interpolation="bicubic")
    spec = to_input_spec(CROP_224, settings)
    assert isinstance(spec, CentreCrop)
    assert (spec.mean, spec.std, spec.interpolation) == ((0, 0, 0), (1, 1, 1), "bicubic")
    assert (spec.height, spec.shorter_side) == (224, 256)
    assert to_input_spec(CROP_224, Settings()) == CROP_224


def test_padding_has_the_colour_of_the_mean() -> None:
    """torchvision pads with zeros after the normalisation."""
    assert to_input_spec(SHORTER_SIDE_800, Settings(mean=(0.0, 0.0, 0.0))).fill == (0, 0, 0)
    caffe = Settings(mean=(103.53, 116.28, 123.675), scale=1.0, channel_order="bgr")
    assert to_input_spec(BOX, caffe).fill == (124, 116, 104)
    assert to_input_spec(BOX, Settings(mean=(0.0, 0.0, 0.0), fill=(1, 2, 3))).fill == (1, 2, 3)


def test_an_input_that_varies_has_room_for_its_longer_side() -> None:
    spec = to_input_spec(SHORTER_SIDE_800, Settings(shorter_side=600, longer_side=1000))
    assert isinstance(spec, ShorterSide)
    assert (spec.height, spec.width, spec.shorter_side, spec.longer_side) == (1024, 1024, 600, 1000)


def test_another_resize_keeps_what_it_has_a_use_for() -> None:
    stretched = to_input_spec(CROP_224, Settings(resize="stretch"))
    assert isinstance(stretched, Stretch)
    assert (stretched.height, stretched.mean) == (224, CROP_224.mean)
    crop = to_input_spec(BOX, Settings(resize="centre_crop", shorter_side=400))
    assert isinstance(crop, CentreCrop)
    assert (crop.height, crop.shorter_side) == (320, 400)
    fixed = to_input_spec(SHORTER_SIDE_800, Settings(resize="letterbox", anchor="centre"))
    assert isinstance(fixed, Letterbox)
    assert (fixed.height, fixed.anchor, fixed.antialias) == (800, "centre", False)
    assert isinstance(to_input_spec(BOX, Settings(resize="shorter_side")), ShorterSide)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (Settings(shorter_side=100), "shorter_side is less than the crop's"),
        (Settings(std=(0.0, 1.0, 1.0)), "greater than 0"),
    ],
    ids=["a crop beyond the photo", "a division by zero"],
)
def test_what_cannot_be_is_refused(settings: Settings, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        to_input_spec(CROP_224, settings)


def test_anchors_are_written_as_they_are_read() -> None:
    text = "16,20,25 32,40,50 64,80,101 128,161,203 256,322,406"
    anchors = to_anchors(RETINANET_ANCHORS, Settings(anchor_sizes=parse_anchor_sizes(text)))
    assert anchors.sizes == retinanet_anchors(16).sizes
    assert str(Settings(anchor_sizes=anchors.sizes)) == f'--anchor-sizes "{text}"'
    ratios = parse_aspect_ratios("0.5 1 2")
    assert to_anchors(FPN_ANCHORS, Settings(aspect_ratios=ratios)) == FPN_ANCHORS
    pairs = parse_aspect_ratios("1x1 1.4x0.7 0.7x1.4")
    effdet = efficientdet_anchors(4.0)
    assert to_anchors(effdet, Settings(aspect_ratios=pairs)) == effdet
    assert str(Settings(aspect_ratios=pairs)) == '--aspect-ratios "1x1 1.4x0.7 0.7x1.4"'


@pytest.mark.parametrize("text", ["16,x", "16 32", "16,20 32"])
def test_sizes_that_do_not_fit_the_levels_are_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="anchor_sizes"):
        to_anchors(RETINANET_ANCHORS, Settings(anchor_sizes=parse_anchor_sizes(text)))


def test_a_file_states_all_of_them(tmp_path: Path) -> None:
    path = tmp_path / "input.toml"
    path.write_text('mean = [0, 0, 0]\nresize = "stretch"\nchannel_order = "bgr"\nscale = 1\n')
    read = read_settings(path)
    expected = Settings(mean=(0.0, 0.0, 0.0), resize="stretch", channel_order="bgr", scale=1.0)
    assert read == expected
    assert Settings(resize="letterbox").over(read).resize == "letterbox"
    assert read.as_texts() == {
        "mean": "0 0 0",
        "scale": "1.0",
        "channel_order": "bgr",
        "resize": "stretch",
    }


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("mean = [0, 0]", r"a\.toml: mean: "),
        ("means = 3", r"a\.toml: means: .*; there are mean, std"),
        ("mean", r"a\.toml: is no TOML"),
    ],
    ids=["too few", "an unknown name", "no TOML"],
)
def test_a_file_that_cannot_be_read_says_where(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "a.toml").write_text(content)
    with pytest.raises(SettingsError, match=words):
        read_settings(tmp_path / "a.toml")
    with pytest.raises(SettingsError, match="No such file"):
        read_settings(tmp_path / "b.toml")


def test_box_weights_are_a_detectors() -> None:
    settings = to_settings({"box_weights": [1, 2]})
    network = to_network(VARIANTS["retinanet_lite0"].build(1), settings)
    assert network.box_coder.weights == (1.0, 2.0)
    assert settings.as_texts() == {"box_weights": "1 2"}
    assert str(settings) == "box_weights = [1.0, 2.0] in a file of --input"
    with pytest.raises(SettingsError, match="box_weights are a detector's"):
        to_network(VARIANTS["resnet18"].build(1), settings)


def test_values_that_are_none_are_not_stated() -> None:
    assert to_settings({"max_detections": 5}).stated() == {"max_detections": 5}

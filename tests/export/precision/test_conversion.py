"""A package in lower precision: proven against the float32 one, or not written."""

from pathlib import Path
from typing import Literal

import pytest
from typer.testing import CliRunner

from export.__main__ import app
from export.parity.comparison import TOLERANCES, ParityError
from export.precision import conversion
from export.precision.calibration import Calibration
from export.precision.conversion import ConversionError, ConversionJob, convert
from export.verify import verify
from service.manifest import read_manifest
from service.package import open_package
from service.provenance import Tolerance

CLASSIFIER = "efficientnet_lite0_imagenet"


@pytest.fixture(scope="module")
def int8(store: Path, photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped classifier in 8 bits, calibrated on the sample photos, without a search."""
    output = tmp_path_factory.mktemp("store") / "lite0_int8" / "3"
    convert(
        ConversionJob(
            store / CLASSIFIER / "1",
            "int8",
            output,
            photos,
            calibration=Calibration("minmax"),
            search=False,
        )
    )
    return output


def test_package_says_what_it_was_made_from_and_how(int8: Path, store: Path) -> None:
    source = read_manifest(store / CLASSIFIER / "1" / "manifest.json")
    manifest = open_package(int8).manifest
    assert (manifest.name, manifest.version, manifest.precision) == ("lite0_int8", "3", "int8")
    converted = manifest.provenance.converted
    assert converted is not None
    assert converted.package == f"{CLASSIFIER}/1"
    assert converted.sha256 == source.sha256
    assert (converted.calibration, converted.photos, converted.in_float) == ("minmax", 7, ())
    assert 0.8 < (converted.fidelity or 0) < 1
    assert manifest.parity.reference == "float32_package"
    assert 0 < manifest.parity.max_score_difference < 0.2
    assert manifest.labels == source.labels


def test_report_shows_both_precisions(int8: Path) -> None:
    page = (int8 / "report.html").read_text()
    assert "int8" in page
    assert "fp32" in page


def test_package_passes_every_check(int8: Path, photos: Path) -> None:
    assert [check for check in verify(int8, photos) if check.passed is False] == []


def test_file_is_a_quarter_as_large(int8: Path, store: Path) -> None:
    whole = (store / CLASSIFIER / "1" / "model.onnx").stat().st_size
    assert (int8 / "model.onnx").stat().st_size < 0.3 * whole


def test_8_bits_are_not_converted_again(int8: Path, photos: Path, tmp_path: Path) -> None:
    job = ConversionJob(int8, "fp16", tmp_path / "store" / "x" / "1", photos)
    with pytest.raises(ConversionError, match="is in int8; convert the fp32 package"):
        convert(job)
    assert not (tmp_path / "store").exists()


def test_bfloat16_is_refused_with_the_reason(store: Path, photos: Path, tmp_path: Path) -> None:
    job = ConversionJob(store / CLASSIFIER / "1", "bf16", tmp_path / "x" / "1", photos)
    with pytest.raises(ConversionError, match=r"no package in bf16: .*CPUExecutionProvider"):
        convert(job)


def test_too_few_photos_are_refused(store: Path, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "few").mkdir()
    (tmp_path / "few" / "cat.jpg").write_bytes((photos / "cat.jpg").read_bytes())
    job = ConversionJob(store / CLASSIFIER / "1", "int8", tmp_path / "x" / "1", tmp_path / "few")
    with pytest.raises(ConversionError, match="1 photos are too few"):
        convert(job)


def test_answers_that_differ_too_much_are_not_written(
    store: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strict = Tolerance(score=1e-6, iou=0.99, matched=1)
    monkeypatch.setitem(conversion.TOLERANCES, "fp16", strict)
    job = ConversionJob(store / CLASSIFIER / "1", "fp16", tmp_path / "store" / "x" / "1", photos)
    with pytest.raises(ParityError, match=r"probabilities differ.*; serve .* as it is$"):
        convert(job)
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("calibration", "search", "advice"),
    [
        (Calibration("minmax"), True, "leave --method and --no-search out: every way is tried"),
        (None, False, "leave --method and --no-search out: every way is tried"),
        (
            None,
            True,
            "give more photos .*, or serve x as it is$",
        ),
    ],
)
def test_refusal_says_what_to_do(
    calibration: Calibration | None, search: bool, advice: str
) -> None:
    job = ConversionJob(Path("x"), "int8", Path("y/1"), Path("z"), calibration, search)
    with pytest.raises(ParityError, match=f"^6.1% agree; {advice}"), conversion._advice(job):
        raise ParityError("6.1% agree")


def test_half_is_written_on_the_command_line(store: Path, photos: Path, tmp_path: Path) -> None:
    output = tmp_path / "store" / "half" / "1"
    source = store / CLASSIFIER / "1"
    arguments = ["convert", source, "--precision", "fp16", "--photos", photos, "--output", output]
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    assert "100.0% of the answers agree" in result.output
    assert open_package(output).manifest.precision == "fp16"


@pytest.mark.full
@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_detector_is_converted(
    store: Path, photos: Path, tmp_path: Path, precision: Literal["fp16", "int8"]
) -> None:
    output = tmp_path / "store" / "converted" / "1"
    job = ConversionJob(store / "efficientdet_lite0_voc" / "1", precision, output, photos)
    parity = convert(job).parity
    assert parity.agreeing >= TOLERANCES[precision].matched
    assert (parity.detections_compared or 0) > 1000


def test_fault_is_one_line(store: Path, photos: Path, tmp_path: Path) -> None:
    arguments = [
        "convert",
        tmp_path / "none" / "1",
        "--photos",
        photos,
        "--output",
        tmp_path / "x/1",
    ]
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 1
    assert result.output.strip().splitlines()[-1].startswith("error:")

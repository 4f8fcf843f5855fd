"""`python -m service.bulk`: errors are one line, before Ray is started."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from service.bulk.__main__ import main
from tests.paths import ROOT

Refused = Callable[..., str]


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Refused:
    """The error line of a command."""

    def refused(*arguments: object) -> str:
        monkeypatch.chdir(ROOT)
        monkeypatch.setattr(sys, "argv", ["bulk", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            main()
        out, err = capsys.readouterr()
        assert out == ""
        assert all("passed over" in said for said in err.splitlines())
        line = str(caught.value.code)
        assert line.startswith("boxport: ")
        assert "\n" not in line
        return line

    return refused


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--input", "service/engine"], "service/engine: holds no photo"),
        (["--model", "dragons"], "dragons: is no model of model_store; there are efficientdet"),
        (["--score-threshold", "2"], "score_threshold = 2.0: Input should be less than"),
        (["--top-k", "2"], "--top-k is for classifiers; retinanet_lite0_voc is a detector"),
        (["--then", "dragons"], "dragons: is no model of model_store; there are efficientdet"),
        (["--region", "1,2"], "regions = '1,2': A region is four numbers: left, top, right, bott"),
        (["--column", "image"], "docs/photos: holds files of photos; --column is for Parquet"),
        (
            ["--model", "efficientnet_lite0_imagenet"],
            "COCO files hold detections, and efficientnet_lite0_imagenet/1 gives none",
        ),
        (["--output", "docs/photos/found"], "docs/photos/found: lies in docs/photos"),
    ],
)
def test_what_is_wrong_is_told_and_nothing_is_left(
    refused: Refused, tmp_path: Path, arguments: list[str], words: str
) -> None:
    output = tmp_path / "found.json"
    assert words in refused("--input", "docs/photos", "--output", output, *arguments)
    assert list(tmp_path.iterdir()) == []


def test_no_cluster_at_the_address_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(ROOT)
    arguments = ["--input", "docs/photos", "--output", str(tmp_path / "found")]
    monkeypatch.setattr(sys, "argv", ["bulk", *arguments, "--address", "127.0.0.1:1"])
    with pytest.raises(SystemExit) as caught:
        main()
    assert str(caught.value.code).startswith("boxport: 127.0.0.1:1: no Ray cluster answers there: ")


def test_a_wrong_setting_is_told(
    refused: Refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BOXPORT_MAX_BODY_BYTES", "x")
    words = refused("--input", "docs/photos", "--output", tmp_path / "found")
    assert "BOXPORT_MAX_BODY_BYTES=x" in words


def test_without_ray_it_says_what_to_install(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from service.bulk.__main__ import main\n"
        "sys.modules['ray'] = None\n"  # as if it were not installed
        f"sys.argv[1:] = ['--input', 'docs/photos', '--output', {str(tmp_path / 'found')!r}]\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.stderr == "boxport: bulk jobs need ray: pip install --group bulk\n"


def test_the_help_needs_neither_ray_nor_torch() -> None:
    code = (
        "import sys, contextlib\n"
        "from service.bulk.__main__ import main\n"
        "sys.argv[1:] = ['--help']\n"
        "with contextlib.suppress(SystemExit):\n"
        "    main()\n"
        "print(sorted({'ray', 'pyarrow', 'torch', 'bentoml'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert "python -m service.bulk --input photos/ --output found.parquet" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"

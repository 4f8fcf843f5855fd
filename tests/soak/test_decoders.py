"""Each decoder on mutants of its format's structure: pixels or a problem, and nothing grows."""

import json
import subprocess
import sys
from itertools import islice
from pathlib import Path

import pytest

from tests.paths import ROOT
from tests.soak.mutants import VARIANTS, seeds
from tests.soak.results import length, record
from tests.soak.structures import STRUCTURES, structured_mutants

BODIES = int(length("MUTANTS", 50_000))
SEED = 7
SETTLED = 5000  # bodies from which on memory is compared
SLOWEST = 20.0  # seconds for a body of kilobytes, on a machine that is busy with other work


@pytest.mark.parametrize("image_format", STRUCTURES)
@pytest.mark.parametrize(
    "share", [pytest.param(0.004, id="some"), pytest.param(1, id="many", marks=pytest.mark.soak)]
)
def test_every_outcome_is_pixels_or_a_problem(
    image_format: str, share: float, photos: Path, tmp_path: Path
) -> None:
    bodies, report = int(BODIES * share), tmp_path / "number"
    arguments = [photos, image_format, str(bodies), str(SEED), report]
    command = [sys.executable, "-m", "tests.soak.fuzz", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, f"mutant {report.read_text()}: {done.returncode}\n{done.stderr}"
    found = json.loads(done.stdout)
    record(f"decoder {image_format}", bodies=bodies, **found)
    assert found["outcomes"].keys() <= {"pixels", "invalid_image", "image_too_large", "empty_image"}
    assert found["outcomes"]["pixels"] > bodies / 100, "the mutants reach the pixels"
    assert found["slowest_seconds"] < SLOWEST
    assert bodies < SETTLED or found["growth"] < 0.05


@pytest.mark.parametrize("image_format", STRUCTURES)
def test_a_file_is_put_together_as_it_was(image_format: str, photos: Path) -> None:
    structure = STRUCTURES[image_format]
    for file, (its_format, _, _) in zip(seeds(photos), VARIANTS, strict=True):
        if its_format == image_format:
            assert structure.join(structure.split(file)) == file


def test_mutants_are_the_same_in_every_process(photos: Path) -> None:
    files = seeds(photos)[:3]
    first, again = (list(islice(structured_mutants(files, "JPEG", 1), 20)) for _ in range(2))
    assert first == again
    assert len(set(first)) > 15

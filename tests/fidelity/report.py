"""The tables of a full test run in docs/: the tests leave their rows, and this prints them.

python -m pytest -m full && python -m tests.fidelity.report
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from models.variants import VARIANTS
from tests.fidelity.exports import ExportRow
from tests.fidelity.measure import Row, count_gmacs, count_parameters

FOLDER = Path("build/fidelity")
NETWORKS = "| variant | recognised as | tensors | parameters | GMAC | published | logits | boxes |"
EXPORTS = "| variant | detections compared | scores within | boxes within, px |"
MUTANTS = "| mutant | gate | verify |"
PRECISIONS = "| network | fp32 | fp16 | int8 | bf16 |"


def keep_network(row: Row, published: float | None) -> None:
    cells = (
        row.family,
        row.tensors,
        f"{row.parameters:,}",
        "" if row.gmacs is None else f"{row.gmacs:.4g}",
        published or "",
        f"{row.logits:.0e}",
        "" if row.boxes is None else f"{row.boxes:.0e}",
    )
    _keep("networks", row.variant, cells)


def keep_export(row: ExportRow) -> None:
    boxes = "" if row.boxes is None else f"{row.boxes:.0e}"
    _keep("exports", row.variant, (row.detections or "", f"{row.scores:.0e}", boxes))


def keep_mutant(name: str, gate: bool, verify: bool, promised: bool) -> None:
    """promised: whether `verify` must catch it."""
    found = "caught" if verify else "survives" if promised else "cannot tell"
    _keep("mutants", name, ("caught" if gate else "survives", found))


def keep_precisions(network: str, outcomes: Sequence[str]) -> None:
    _keep("precisions", network, outcomes)


def _keep(table: str, row: str, cells: Sequence[object]) -> None:
    """A file for each row, so that tests in several processes do not meet."""
    folder = FOLDER / table
    folder.mkdir(parents=True, exist_ok=True)
    (folder / row).write_text("| " + " | ".join(map(str, (row, *cells))) + " |\n")


def table(name: str, header: str, rows: Iterable[str] = VARIANTS) -> str:
    paths = [FOLDER / name / row for row in rows]
    rule = "|---" * (header.count("|") - 1) + "|\n"
    return f"{header}\n{rule}" + "".join(path.read_text() for path in paths if path.exists())


def claims() -> str:
    """EfficientDet-D1 against RetinaNet-R50: parameters, and multiply-adds at three sizes."""
    ours, theirs = (
        count_parameters(VARIANTS[name].build(90))
        for name in ("tf_efficientdet_d1", "retinanet_resnet50_fpn")
    )
    d1 = count_gmacs("tf_efficientdet_d1")
    lines = [f"* parameters: {ours:,} and {theirs:,}, {theirs / ours:.1f} times fewer"]
    for height, width in ((640, 640), (800, 1344), (1024, 1024)):
        cost = count_gmacs("retinanet_resnet50_fpn", (height, width))
        lines.append(
            f"* GMAC: {d1:.1f} at 640 x 640, and {cost:.1f} at {height} x {width},"
            f" {cost / d1:.1f} times fewer"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    from tests.export.mutants import table as mutants
    from tests.export.precision import test_matrix as matrix

    print(table("networks", NETWORKS))
    print(table("exports", EXPORTS))
    print(table("mutants", MUTANTS, (mutant.name for mutant in mutants.MUTANTS)))
    print(table("precisions", PRECISIONS, matrix.NETWORKS))
    print(claims(), end="")

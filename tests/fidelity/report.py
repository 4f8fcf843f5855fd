"""`python -m tests.fidelity.report`: the tables of docs/fidelity.md, measured anew."""

from rich.console import Console
from rich.progress import track

from models.variants import VARIANTS
from tests.fidelity.exports import EXPORTED, export
from tests.fidelity.measure import count_gmacs, count_parameters, measure
from tests.fidelity.test_networks import PUBLIC, PUBLISHED_GMACS

console = Console(stderr=True)


def networks() -> None:
    print("| variant | recognised as | tensors | parameters | GMAC | published | logits | boxes |")
    print("|---|---|---|---|---|---|---|---|")
    for variant in track(PUBLIC, "networks", console=console):
        row = measure(variant)
        cost = "" if row.gmacs is None else f"{row.gmacs:.4g}"
        boxes = "" if row.boxes is None else f"{row.boxes:.0e}"
        same = (
            "" if row.parameters == row.oracle_parameters else f" (not {row.oracle_parameters:,})"
        )
        print(
            f"| {variant} | {row.family} | {row.tensors} | {row.parameters:,}{same} | {cost}"
            f" | {PUBLISHED_GMACS.get(variant, '')} | {row.logits:.0e} | {boxes} |",
            flush=True,
        )


def exports() -> None:
    print("| variant | detections compared | scores within | boxes within, px |")
    print("|---|---|---|---|")
    for variant in track(EXPORTED, "exports", console=console):
        row = export(variant, EXPORTED[variant])
        boxes = "" if row.boxes is None else f"{row.boxes:.0e}"
        print(f"| {variant} | {row.detections or ''} | {row.scores:.0e} | {boxes} |", flush=True)


def claims() -> None:
    """EfficientDet-D1 against RetinaNet-R50: parameters, and multiply-adds at three sizes."""
    ours, theirs = (
        count_parameters(VARIANTS[name].build(90))
        for name in ("tf_efficientdet_d1", "retinanet_resnet50_fpn")
    )
    d1 = count_gmacs("tf_efficientdet_d1")
    print(f"parameters: {ours:,} and {theirs:,}, {theirs / ours:.1f} times fewer")
    for size in ((640, 640), (800, 1344), (1024, 1024)):
        cost = count_gmacs("retinanet_resnet50_fpn", size)
        print(
            f"GMAC: {d1:.1f} and {cost:.1f} at {size[0]} x {size[1]}, {cost / d1:.1f} times fewer"
        )


if __name__ == "__main__":
    networks()
    print()
    exports()
    print()
    claims()

"""Which layers lose most in 8 bits and should stay in float."""

from dataclasses import dataclass

from export.precision.fidelity import Fidelity
from export.precision.quantisation import Quantiser, layers
from export.progress import OnProgress, ignore_progress

MIN_GAIN = 0.2  # of the fidelity lost, that a layer in float must win back
MAX_IN_FLOAT = 0.15  # of the layers' nodes


@dataclass(frozen=True)
class Sensitivity:
    """What a search found.

    in_float: the layers that are kept. fidelity: of the graph with them, 0..1.
    """

    in_float: tuple[str, ...]
    fidelity: float


def search(
    quantiser: Quantiser,
    fidelity: Fidelity,
    quantised: float,
    on_progress: OnProgress = ignore_progress,
) -> Sensitivity:
    """Try each layer in float, then the best of them together, as long as it helps.

    quantised: fidelity of the graph that is all in 8 bits, as it was measured before. No graph is
        measured twice, as each takes a run of all photos.
    """
    groups = layers(quantiser.prepared)
    steps = 2 * len(groups)
    alone = {}
    for done, (name, nodes) in enumerate(groups.items()):
        on_progress(done, steps)
        alone[name] = fidelity(quantiser.quantise(nodes))
    gains = {name: reached - quantised for name, reached in alone.items()}
    allowed = MAX_IN_FLOAT * sum(map(len, groups.values()))
    best = quantised
    chosen: list[str] = []
    ranked = sorted(gains, key=gains.__getitem__, reverse=True)
    for done, name in enumerate(ranked, start=len(groups)):
        on_progress(done, steps)
        if gains[name] < MIN_GAIN * (1 - quantised):
            break
        tried = [*chosen, name]
        nodes = [node for group in tried for node in groups[group]]
        if len(nodes) > allowed:
            continue
        reached = fidelity(quantiser.quantise(nodes)) if chosen else alone[name]
        if reached > best:
            best, chosen = reached, tried
    on_progress(steps, steps)
    return Sensitivity(tuple(chosen), best)

"""Which layers lose most in 8 bits, and are worth keeping in float."""

from collections.abc import Callable
from dataclasses import dataclass

from export.precision.fidelity import Fidelity
from export.precision.quantisation import Quantiser, layers

# A layer must win back this share of what is lost to be kept in float,
WORTHWHILE = 0.2
# and all that are kept may have this share of the weighted operators' nodes.
MOST_IN_FLOAT = 0.15


@dataclass(frozen=True)
class Sensitivity:
    """What a search found.

    quantised: fidelity, 0..1, of the graph that is all in 8 bits; kept: of the one chosen.
    gains: by layer, what keeping it alone in float adds.
    in_float: the layers that are kept.
    """

    quantised: float
    kept: float
    gains: dict[str, float]
    in_float: tuple[str, ...]


def search(
    quantiser: Quantiser,
    fidelity: Fidelity,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Sensitivity:
    """Try each layer in float, then the best of them together, as long as it helps."""
    groups = layers(quantiser.prepared)
    steps = 2 * len(groups) + 1
    quantised = fidelity(quantiser.quantise())
    gains = {}
    for done, (name, nodes) in enumerate(groups.items(), start=1):
        on_progress(done, steps)
        gains[name] = fidelity(quantiser.quantise(nodes)) - quantised
    allowed = MOST_IN_FLOAT * sum(map(len, groups.values()))
    best = quantised
    chosen: list[str] = []
    lost = 1 - quantised
    for done, name in enumerate(sorted(gains, key=gains.__getitem__, reverse=True)):
        on_progress(len(groups) + 1 + done, steps)
        if gains[name] < WORTHWHILE * lost:
            break
        tried = [*chosen, name]
        nodes = [node for group in tried for node in groups[group]]
        if len(nodes) > allowed:
            continue
        reached = fidelity(quantiser.quantise(nodes))
        if reached > best:
            best, chosen = reached, tried
    on_progress(steps, steps)
    return Sensitivity(quantised, best, gains, tuple(chosen))

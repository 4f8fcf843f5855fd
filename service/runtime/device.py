"""What sessions of a model run on."""

from collections.abc import Mapping
from dataclasses import dataclass

from service.providers import CPU, ExecutionProvider


@dataclass(frozen=True)
class Device:
    """What a model's sessions run on.

    providers: the first is asked for; what it cannot compute goes to the next, and to the CPU.
    threads: of each run on a CPU; 0 takes every processor.
    lone_threads: of a run on a CPU beside which there is nothing to do; as many as ``threads``
        unless it says otherwise.
    options: of the first provider, on top of its row's.
    allow_fallback: whether a session may run on less than was asked for.
    capture: whether runs are recorded as CUDA graphs.
    """

    providers: tuple[ExecutionProvider, ...] = (CPU,)
    threads: int = 1
    lone_threads: int | None = None
    options: Mapping[str, str] | None = None
    allow_fallback: bool = False
    capture: bool = False

    @property
    def number(self) -> int:
        """Which of several devices it is."""
        option = self.providers[0].device_option
        return int((self.options or {}).get(option, 0)) if option else 0

    @property
    def for_ort(self) -> list[str | tuple[str, dict[str, str]]]:
        """Providers and their options as ONNX Runtime takes them."""
        first, *others = self.providers
        capture = {first.capture_option: "1"} if self.capture and first.capture_option else {}
        asked: list[str | tuple[str, dict[str, str]]] = [
            (first.ort_name, {**first.options, **capture, **(self.options or {})})
        ]
        asked += [(row.ort_name, dict(row.options)) for row in others]
        return asked if CPU in self.providers else [*asked, CPU.ort_name]

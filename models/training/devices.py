"""Where a run computes: processor or GPUs, one process or several, and in which precision."""

import os
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
from torch import distributed, nn

from models.training.recipe import Precision, TrainingError

Gathered = TypeVar("Gathered")
# Of the others while the first evaluates, which on many photos takes longer than the usual ten
# minutes.
LONGEST_WAIT = timedelta(hours=12)


@dataclass(frozen=True)
class Process:
    """One process of a run: its device, and its rank among ``world_size``: torchrun starts
    several."""

    device: torch.device
    rank: int = 0
    world_size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this process evaluates, writes and prints."""
        return self.rank == 0

    def distribute(self, network: nn.Module) -> nn.Module:
        """``network``, its gradients averaged over all processes."""
        if self.world_size == 1:
            return network
        devices = [self.device] if self.device.type == "cuda" else None
        return nn.parallel.DistributedDataParallel(network, device_ids=devices)

    def random_state(self) -> dict[str, torch.Tensor]:
        """The state of the generators that dropout draws from, on the device and off it."""
        state = {"cpu": torch.get_rng_state()}
        if self.device.type == "cuda":
            state["cuda"] = torch.cuda.get_rng_state(self.device)
        return state

    def set_random_state(self, state: dict[str, torch.Tensor]) -> None:
        """Go on from a `random_state`; on a device that it does not name, from its own."""
        torch.set_rng_state(state["cpu"])
        if self.device.type == "cuda" and "cuda" in state:
            torch.cuda.set_rng_state(state["cuda"], self.device)

    def gather(self, value: Gathered) -> list[Gathered]:
        """Every process's ``value``, by rank. All must call it; none goes on before all have."""
        values = [value] * self.world_size
        if self.world_size > 1:
            distributed.all_gather_object(values, value)
        return values

    def mean_count(self, count: int) -> float:
        """The mean of ``count`` over all processes, of which all together have 1 at least: what a
        sum is divided by so that the mean of all processes' gradients is that of one process with
        the whole batch."""
        return max(self.sum(count), 1) / self.world_size

    def sum(self, value: int) -> int:
        """The sum of ``value`` over all processes, which must all call it."""
        if self.world_size == 1:
            return value
        total = torch.tensor(value, device=self.device)
        distributed.all_reduce(total)
        return int(total)

    def barrier(self) -> None:
        """Until every process is here."""
        if self.world_size > 1:
            distributed.barrier()


def current_process(device: str | None = None) -> Process:
    """This process: a GPU each if there are any, or what ``device`` names.

    Raises TrainingError if there is no such device.
    """
    world_size = int(os.environ.get("WORLD_SIZE", "1"))
    rank = int(os.environ.get("RANK", "0"))
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise TrainingError(f"--device {device}: PyTorch finds no GPU here")
    if device == "cuda":
        local = int(os.environ.get("LOCAL_RANK", "0"))
        torch.cuda.set_device(local)
        device = f"cuda:{local}"
    if world_size > 1 and not distributed.is_initialized():
        distributed.init_process_group(
            "nccl" if device.startswith("cuda") else "gloo", timeout=LONGEST_WAIT
        )
    return Process(torch.device(device), rank, world_size)


def choose_precision(precision: Precision, device: torch.device) -> torch.dtype:
    """The type that convolutions compute in; bfloat16 where "auto" finds hardware for it."""
    if precision == "auto":
        precision = "bf16" if has_bfloat16(device) else "fp32"
    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]


def has_bfloat16(device: torch.device) -> bool:
    """Whether ``device`` computes with bfloat16 faster than with float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()

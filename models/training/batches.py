"""The batches of an epoch, which depend on the seed and the epoch alone."""

from collections.abc import Iterator

import torch
from torch.utils.data import Sampler

from models.training.recipe import TrainingError


class EpochBatches(Sampler[list[int]]):
    """The batches of an epoch, shuffled in each; the last, incomplete batch is dropped.

    A run that was interrupted goes on at the batch where it stopped: see `start`. Of several
    processes each takes its share of every batch.
    """

    def __init__(
        self, photos: int, batch_size: int, seed: int, rank: int = 0, processes: int = 1
    ) -> None:
        """Raises TrainingError if there are fewer photos than make up one batch, or if the
        processes cannot share it."""
        if photos < batch_size:
            raise TrainingError(
                f"{photos} photos make no batch of {batch_size}: --batch-size {photos} or less"
            )
        if batch_size % processes:
            raise TrainingError(
                f"{processes} processes cannot share a batch of {batch_size}: --batch-size must be"
                f" a multiple of {processes}"
            )
        self.photos, self.batch_size, self.seed = photos, batch_size, seed
        self.rank, self.processes = rank, processes
        self.epoch, self.first = 0, 0

    def start(self, epoch: int, first: int = 0) -> None:
        """Go on with ``epoch`` at its batch number ``first``."""
        self.epoch, self.first = epoch, first

    def __len__(self) -> int:
        return self.photos // self.batch_size

    def __iter__(self) -> Iterator[list[int]]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        order = torch.randperm(self.photos, generator=generator).tolist()
        for batch in range(self.first, len(self)):
            start = batch * self.batch_size
            yield order[start : start + self.batch_size][self.rank :: self.processes]

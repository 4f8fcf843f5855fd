"""The batches of an epoch, which depend on the seed and the epoch alone."""

import math
from collections.abc import Iterator

import torch
from torch.utils.data import Sampler

from models.training.recipe import TrainingError


class EpochBatches(Sampler[list[int]]):
    """The batches of an epoch, shuffled in each.

    Every photo is in one. What the last batch lacks is made up with `repeated` further views of
    photos, by indices beyond their number.

    A run that was interrupted goes on at the batch where it stopped: see `start`. Of several
    processes each takes its share of every batch.
    """

    def __init__(
        self, photos: int, batch_size: int, seed: int, rank: int = 0, processes: int = 1
    ) -> None:
        """Raises TrainingError if the processes cannot share a batch."""
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
        return math.ceil(self.photos / self.batch_size)

    @property
    def repeated(self) -> int:
        """How many photos of an epoch are shown again."""
        return len(self) * self.batch_size - self.photos

    def __iter__(self) -> Iterator[list[int]]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        photos = torch.randperm(self.photos, generator=generator).tolist()
        rounds = range(0, len(self) * self.batch_size, self.photos)
        order = [first + photo for first in rounds for photo in photos]
        for batch in range(self.first, len(self)):
            start = batch * self.batch_size
            yield order[start : start + self.batch_size][self.rank :: self.processes]

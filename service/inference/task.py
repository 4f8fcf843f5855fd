"""What the engine asks of every kind of model."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from service.imaging.resize import ModelInput
from service.manifest import ModelManifest

Query = TypeVar("Query")
Row = dict[str, Any]


@dataclass(frozen=True)
class Job(Generic[Query]):
    """One image, and what its request asks of it."""

    image: ModelInput
    query: Query


@dataclass(frozen=True)
class Undecoded(Generic[Query]):
    """A job whose image is still to be made: by ``decode``, on the thread that will run it."""

    decode: Callable[[], ModelInput]
    query: Query


class Runner(Protocol[Query]):
    """Turns images into answers, many at a time: `inference.detector`, `inference.classifier`.

    rows_name: the field of an image's result that holds its rows.
    """

    rows_name: str

    @property
    def manifest(self) -> ModelManifest: ...

    def to_query(self, parameters: Any) -> Query:
        """``parameters``, a `RequestParameters` of the task, with the model's defaults filled in.

        Raises Problem if a value does not suit this model.
        """

    def group(self, job: Job[Query]) -> Hashable:
        """Jobs can run in one batch if this is equal for them."""

    def run(self, jobs: Sequence[Job[Query]], *, alone: bool = False) -> list[list[Row]]:
        """Each job's rows, in order: detections or classifications as contract 2 shows them.

        alone: whether no other run wants the processors.
        """

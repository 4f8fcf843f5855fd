"""The log of a run: a CSV file and TensorBoard events."""

import csv
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter


class RunLog:
    """Rows of figures, one for each epoch, in ``log.csv``; and the same under ``tensorboard/``.

    A run that resumes keeps the rows of the epochs that are done and drops later ones.
    """

    def __init__(self, output: Path, epochs_done: int) -> None:
        self.path = output / "log.csv"
        self.rows = [row for row in read_rows(self.path) if row["epoch"] <= epochs_done]
        self._rewrite()
        self.board = SummaryWriter(str(output / "tensorboard"), purge_step=epochs_done + 1)

    def close(self) -> None:
        """Write what TensorBoard's writer still holds."""
        self.board.close()

    def add(self, row: dict[str, float]) -> None:
        """A row's figures by name, "epoch" among them; not every row has all."""
        self.rows.append(row)
        self._rewrite()
        for name, value in row.items():
            if name != "epoch":
                self.board.add_scalar(name, value, int(row["epoch"]))
        self.board.flush()

    def _rewrite(self) -> None:
        names = list(dict.fromkeys(name for row in self.rows for name in row))
        aside = self.path.with_suffix(".partial")
        with aside.open("w", newline="") as file:
            writer = csv.DictWriter(file, names, lineterminator="\n")
            writer.writeheader()
            writer.writerows({k: f"{v:.6g}" for k, v in row.items()} for row in self.rows)
        aside.replace(self.path)


def read_rows(path: Path) -> list[dict[str, float]]:
    """The rows of a log; none if there is no such file."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return [
            {name: float(value) for name, value in row.items() if value}
            for row in csv.DictReader(file)
        ]

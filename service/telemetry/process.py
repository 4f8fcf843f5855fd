"""What the system says of the service's processes: prometheus-client's own figures, added up."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from service.scoreboard import Scoreboard

# Of which that of the newest process is told, so that each restart is a change; of others the sum.
STARTED = "process_start_time_seconds"
CPU = "process_cpu_seconds"


class ProcessFigures:
    """Of all processes that publish theirs."""

    def __init__(self, board: Scoreboard) -> None:
        self._board = board
        self._collector = ProcessCollector(registry=CollectorRegistry())
        self._told = {family.name: family.documentation for family in self._collector.collect()}
        self._places = {name: board.cells(name, gauge=name != CPU) for name in self._told}
        # of the processes that were here before
        self._cpu_before = board.own[self._places[CPU]] if CPU in self._places else 0.0

    def publish(self) -> None:
        """Put this process's own where all can see them."""
        for family in self._collector.collect():
            before = self._cpu_before if family.name == CPU else 0.0
            self._board.own[self._places[family.name]] = before + family.samples[0].value

    def families(self) -> Iterator[Metric]:
        for name, told in self._told.items():
            values = [value for (value,) in self._board.values(self._places[name], 1) if value]
            value = max(values, default=0.0) if name == STARTED else sum(values)
            kind = CounterMetricFamily if name == CPU else GaugeMetricFamily
            yield kind(name, told, value)

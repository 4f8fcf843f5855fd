"""Checks the queries of a Grafana dashboard against the metrics of a service."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import promql_parser as promql
from prometheus_client.parser import text_string_to_metric_families

TARGET_LABELS = frozenset({"job", "instance"})  # Prometheus adds them to what it scrapes
COUNTER_FUNCTIONS = frozenset({"rate", "irate", "increase"})
_BUILT_IN = re.compile(r"\$__(rate_interval|interval|range)\b")
_VARIABLE = re.compile(r"\$\{?(\w+)")
_LABEL_VALUES = re.compile(r"label_values\((.+),\s*(\w+)\)")
_LEGEND_LABEL = re.compile(r"{{\s*(\w+)\s*}}")


@dataclass(frozen=True)
class Query:
    """An expression, and the labels of its result that the dashboard shows.

    series: whether it only names series, for their labels' values, and shows no number.
    """

    where: str
    expression: str
    shown: frozenset[str]
    series: bool = False


@dataclass(frozen=True)
class Exposed:
    """A sample's name: its labels, None if there is no sample yet, and whether it only grows."""

    labels: frozenset[str] | None
    counter: bool


class Fault(Exception):
    """A query with an empty or meaningless result."""


def queries(dashboard: dict[str, Any]) -> Iterator[Query]:
    """Every query of the dashboard's panels and variables."""
    for panel in _panels(dashboard["panels"]):
        for target in panel.get("targets", []):
            shown = frozenset(_LEGEND_LABEL.findall(target.get("legendFormat", "")))
            yield Query(panel["title"], target["expr"], shown)
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            query = variable["query"]["query"]
            if (match := _LABEL_VALUES.fullmatch(query)) is None:
                raise Fault(f"variable {variable['name']}: {query} is not understood")
            yield Query(
                f"variable {variable['name']}", match[1], frozenset({match[2]}), series=True
            )


def metric_names(dashboard: dict[str, Any]) -> set[str]:
    """The names of all samples that the dashboard asks for."""
    names: set[str] = set()
    for query in queries(dashboard):
        promql.walk(_parse(query.expression), lambda node: _note_name(node, names))
    return names


def faults(dashboard: dict[str, Any], metrics: str) -> list[str]:
    """What is wrong with the dashboard for a service whose /metrics, as text, is ``metrics``.

    A line each: what cannot be parsed, a metric, a label or a variable that there is not, `rate`
    of a gauge, a counter without `rate`, a quantile of what is no histogram. The labels of a metric
    without a sample are taken on trust.
    """
    exposed = read_metrics(metrics)
    variables = {variable["name"] for variable in dashboard["templating"]["list"]}
    found = []
    for query in queries(dashboard):
        try:
            unknown = set(_VARIABLE.findall(_BUILT_IN.sub("", query.expression))) - variables
            if unknown:
                raise Fault(f"no variable {', '.join(sorted(unknown))}")
            node = _parse(query.expression)
            labels = _labels(node, exposed, ranged=None if query.series else False)
            if labels is not None:
                _require(query.shown, labels, "the result")
        except Fault as fault:
            found.append(f"{query.where}: {fault}")
    return found


def read_metrics(text: str) -> dict[str, Exposed]:
    """The samples of a text exposition by their names, with those that a family may still get."""
    exposed: dict[str, Exposed] = {}
    suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}
    for family in text_string_to_metric_families(text):
        counter = family.type in suffixes
        for suffix in suffixes.get(family.type, [""]):
            exposed[family.name + suffix] = Exposed(None, counter)
        for sample in family.samples:
            known = exposed[sample.name].labels or frozenset()
            exposed[sample.name] = Exposed(known | sample.labels.keys(), counter)
    return exposed


def _panels(panels: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for panel in panels:
        yield panel
        yield from _panels(panel.get("panels", []))


def _parse(expression: str) -> promql.Expr:
    try:
        return promql.parse(_BUILT_IN.sub("5m", expression))
    except ValueError as error:
        raise Fault(f"{expression}: {error}") from error


def _note_name(node: promql.Expr, names: set[str]) -> None:
    if isinstance(node, promql.VectorSelector):
        names.add(node.name or "")


def _labels(
    node: promql.Expr, exposed: dict[str, Exposed], ranged: bool | None = False
) -> frozenset[str] | None:
    """The labels of the node's result; None if they cannot be known. Raises Fault.

    ranged: whether the node is what `rate` or the like is taken of; None if that is all the same.
    """
    match node:
        case promql.MatrixSelector():
            return _labels(node.vector_selector, exposed, ranged)
        case promql.VectorSelector():
            return _selected(node, exposed, ranged)
        case promql.Call():
            return _called(node, exposed)
        case promql.AggregateExpr():
            inner = _labels(node.expr, exposed)
            if node.modifier is None:
                return frozenset()
            named = frozenset(node.modifier.labels)
            if inner is None:
                return named if node.modifier.type == promql.AggModifierType.By else None
            _require(named, inner, str(node.expr))
            return named if node.modifier.type == promql.AggModifierType.By else inner - named
        case promql.BinaryExpr():
            left, right = _labels(node.lhs, exposed), _labels(node.rhs, exposed)
            if node.modifier is not None and node.modifier.matching is not None:
                raise Fault("on() and ignoring() are not understood here")
            return right if isinstance(node.lhs, promql.NumberLiteral) else left
        case promql.ParenExpr() | promql.UnaryExpr():
            return _labels(node.expr, exposed, ranged)
        case promql.NumberLiteral():
            return frozenset()
    raise Fault(f"{node}: is not understood here")


def _selected(
    node: promql.VectorSelector, exposed: dict[str, Exposed], ranged: bool | None
) -> frozenset[str] | None:
    if node.name not in exposed:
        raise Fault(f"no metric {node.name}")
    metric = exposed[node.name]
    if ranged not in (None, metric.counter):
        raise Fault(f"{node.name} is {'no' if ranged else 'a'} counter")
    if metric.labels is None:
        return None
    labels = metric.labels | TARGET_LABELS
    _require(frozenset(matcher.name for matcher in node.matchers.matchers), labels, node.name)
    return labels


def _called(node: promql.Call, exposed: dict[str, Exposed]) -> frozenset[str] | None:
    if node.func.name == "vector":
        return frozenset()
    inner = _labels(node.args[-1], exposed, node.func.name in COUNTER_FUNCTIONS)
    if node.func.name == "histogram_quantile" and inner is not None:
        _require(frozenset({"le"}), inner, str(node.args[-1]))
        return inner - {"le"}
    return inner


def _require(wanted: frozenset[str], labels: frozenset[str], of: str) -> None:
    if missing := wanted - labels:
        raise Fault(f"{of} has no label {', '.join(sorted(missing))}")

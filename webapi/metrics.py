"""What a Prometheus server scrapes of the API: `/metrics`, summed over all workers of this host.

It is on the API's own port, so it asks for a secret that Prometheus sends (`web.metrics_secret`);
without that setting there is no such address. No organisation, person or query is in it.
"""

import hmac
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from flask import Blueprint, Response, request
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from typing_extensions import override

from webapi.errors import LOOK_FOR_ROUTES, MissingError, TokenError
from webapi.parts import parts
from webapi.tallies import Tallies

MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
PREFIX: Final = "indelible_web_"
BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SEPARATOR: Final = "\t"
_BEYOND: Final = "+Inf"

blueprint: Final = Blueprint("metrics", __name__)


class Definition(NamedTuple):
    """One metric: its name behind `PREFIX`, its kind, its labels and what it means."""

    name: str
    kind: str
    labels: tuple[str, ...]
    meaning: str


REQUESTS: Final = Definition(
    "requests_total", "counter", ("route", "method", "status"), "Requests that were answered"
)
REQUEST_SECONDS: Final = Definition(
    "request_seconds", "histogram", ("route",), "How long an answer took until it began to be sent"
)
STORAGE_SECONDS: Final = Definition(
    "storage_seconds", "histogram", (), "How long OpenSearch took for one question"
)
STORAGE_FAILURES: Final = Definition(
    "storage_failures_total", "counter", (), "Questions that OpenSearch did not answer at all"
)
LIMITED: Final = Definition(
    "limited_total", "counter", ("limit",), "Requests that were refused for their number"
)
METRICS: Final = (REQUESTS, REQUEST_SECONDS, STORAGE_SECONDS, STORAGE_FAILURES, LIMITED)


def count(metric: Definition, *labels: str) -> Mapping[str, float]:
    """Return what one more adds to the tallies."""
    return {_SEPARATOR.join((metric.name, *labels)): 1.0}


def observe(metric: Definition, seconds: float, *labels: str) -> Mapping[str, float]:
    """Return what one duration adds to the tallies."""
    bucket = next((str(bound) for bound in BUCKETS if seconds <= bound), _BEYOND)
    series = _SEPARATOR.join((metric.name, *labels))
    return {f"{series}{_SEPARATOR}{bucket}": 1.0, f"{series}{_SEPARATOR}sum": seconds}


def storage_told(tallies: Tallies) -> Callable[[float, bool], None]:
    """Return what counts a question to OpenSearch: its seconds, and whether it was answered."""

    def told(seconds: float, answered: bool) -> None:  # noqa: FBT001  # one fact of two
        found = observe(STORAGE_SECONDS, seconds)
        tallies.add(found if answered else {**found, **count(STORAGE_FAILURES)})

    return told


@blueprint.get("/metrics")
def metrics() -> Response:
    """Answer the metrics to whoever has the secret."""
    secret = parts().settings.metrics_secret
    if secret is None:
        raise MissingError("route_not_found", LOOK_FOR_ROUTES)
    given = request.headers.get("Authorization", "")
    if not hmac.compare_digest(given.encode(), f"Bearer {secret.reveal()}".encode()):
        raise TokenError("token_invalid", "the metrics ask for web.metrics_secret")
    return Response(render(parts().tallies), content_type=MEDIA_TYPE)


def render(tallies: Tallies) -> bytes:
    """Return the metrics as text (exposition format 0.0.4)."""
    registry = CollectorRegistry()
    registry.register(_Collected(tallies.read()))
    return generate_latest(registry)


class _Collected(Collector):
    def __init__(self, sums: Mapping[str, float]) -> None:
        self._sums = sums

    @override
    def collect(self) -> Iterable[Metric]:
        for metric in METRICS:
            rows = dict(self._rows(metric))
            if metric.kind == "counter":
                yield _counter(metric, rows)
            else:
                yield _histogram(metric, rows)

    def _rows(self, metric: Definition) -> Iterator[tuple[tuple[str, ...], float]]:
        for series, value in self._sums.items():
            name, *labels = series.split(_SEPARATOR)
            if name == metric.name:
                yield tuple(labels), value


def _counter(metric: Definition, rows: Mapping[tuple[str, ...], float]) -> Metric:
    family = CounterMetricFamily(PREFIX + metric.name, metric.meaning, labels=metric.labels)
    for labels, value in sorted(rows.items()):
        family.add_metric(labels, value)
    if not metric.labels and not rows:
        family.add_metric((), 0)
    return family


def _histogram(metric: Definition, rows: Mapping[tuple[str, ...], float]) -> Metric:
    family = HistogramMetricFamily(PREFIX + metric.name, metric.meaning, labels=metric.labels)
    for labels in sorted({labels[:-1] for labels in rows}):
        total, buckets = 0.0, list[tuple[str, float]]()
        for bound in (*map(str, BUCKETS), _BEYOND):
            total += rows.get((*labels, bound), 0.0)
            buckets.append((bound, total))
        family.add_metric(labels, buckets, rows.get((*labels, "sum"), 0.0))
    return family

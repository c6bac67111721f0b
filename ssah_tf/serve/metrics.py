"""What the service counts, for Prometheus."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.types import Scope

#: Upper ends of the classes of durations, in seconds.
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics:
    """The counters of one service."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = Counter(
            "ssah_requests", "Requests answered", ["route", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "ssah_request_seconds",
            "From the first header to the end of the answer",
            ["route"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self.work = Histogram(
            "ssah_work_seconds",
            "Of decoding, encoding and searching, without waiting",
            ["step"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self.refused = Counter(
            "ssah_refused", "Requests refused at the gate", ["reason"], registry=self.registry
        )

    def gauge(self, name: str, text: str, value: Callable[[], float]) -> None:
        """Show a number that is asked for when the page is."""
        Gauge(name, text, registry=self.registry).set_function(value)

    def request(self, scope: Scope, status: int, seconds: float) -> None:
        """Count a request under the pattern of its path, or "none"."""
        route = getattr(scope.get("route"), "path", "none")
        self.requests.labels(route, str(status)).inc()
        self.seconds.labels(route).observe(seconds)

    def page(self) -> tuple[bytes, str]:
        """All counters as text, and its media type."""
        return generate_latest(self.registry), CONTENT_TYPE_LATEST

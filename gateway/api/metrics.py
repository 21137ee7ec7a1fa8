"""`/metrics`: the figures of all gateways, the feed workers and the recorder, as Prometheus reads them.

Several gateways may share a port, and Prometheus reaches any one of them: it answers for all of them. They
are asked on the bus (`request.metrics`), and who has not answered within `GATHER_S` is left out. With
`?local=1` a gateway says only what it knows of itself. This is the one door to prometheus_client.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Final

import msgspec
import structlog
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.accounts.identity import Scope
from gateway.api.measures import FLEET, GATEWAY, Kind, Measure
from gateway.api.operations import TEXT, Answer, Operation, Values
from gateway.api.params import Choice, Param
from gateway.api.process import read_process
from gateway.api.readings import Labels, Reading, Value
from processors.bus import Bus, BusError, SlowEndpoint
from protocol import subjects

GATHER_S: Final = 0.2
KEPT_S: Final = 1.0
"""Who asks so soon after another gets the same: asking everybody is not for everybody to repeat."""
OPERATIONS: Final = tuple(
    Operation(
        path=path,
        name=name,
        summary="The figures of all gateways, feed workers and the recorder, for Prometheus",
        params=(Param("local", Choice({"0": False, "1": True}), "1: only this gateway's", default=False),),
        answers={200: Answer("Prometheus text, version 0.0.4.", TEXT, CONTENT_TYPE_PLAIN_0_0_4)},
        needs=Scope.OPERATE,
        limit=None,
        refuses=(400,),
        tag="state",
    )
    for path, name in (("/metrics", "metrics"), ("/api/v1/metrics", "metrics_v1"))
)

log = structlog.get_logger()


class Word(msgspec.Struct, frozen=True):
    """What one gateway says of itself."""

    gateway: str
    reading: Reading


_word: Final = msgspec.json.Decoder(Word)


class Metrics:
    """This gateway's figures, and by the bus those of the others."""

    def __init__(
        self, gateway: str, read: Callable[[], Reading], read_fleet: Callable[[], Reading], bus: Bus
    ) -> None:
        """`gateway` is a name that no other gateway on the bus has; `read` reads this one's parts."""
        self._gateway = gateway
        self._read = read
        self._read_fleet = read_fleet
        self._bus = bus
        self._one_at_a_time = asyncio.Lock()
        self._kept = (float("-inf"), b"")

    def endpoint(self) -> SlowEndpoint:
        """Answer whoever gathers."""

        async def answer(_subject: str, _payload: bytes) -> bytes:
            return msgspec.json.encode(Word(self._gateway, self._own()))

        return SlowEndpoint(
            "metrics", subjects.REQUEST_METRICS, answer, asked_by_all=subjects.token(self._gateway)
        )

    def local(self) -> bytes:
        """Return the text of this gateway alone."""
        return format_text({self._gateway: self._own()}, {})

    async def everything(self) -> bytes:
        """Return the text of all gateways, the feed workers and the recorder."""
        async with self._one_at_a_time:
            made_s, text = self._kept
            if time.monotonic() - made_s >= KEPT_S:
                text = await self._gather()
                self._kept = (time.monotonic(), text)
        return text

    async def _gather(self) -> bytes:
        try:
            answers = await self._bus.gather(subjects.REQUEST_METRICS, b"", GATHER_S)
        except BusError as error:
            log.warning("metrics.alone", error=str(error))
            answers = []
        gateways = dict(sorted(_words(answers)))
        gateways[self._gateway] = self._own()
        fleet: Reading = {"tickgate_gateways": [((), len(gateways))], **self._read_fleet()}
        return format_text(gateways, fleet)

    def _own(self) -> Reading:
        process: Reading = {name: [((), value)] for name, value in read_process().items()}
        return self._read() | process


def _words(answers: Iterable[bytes]) -> Iterable[tuple[str, Reading]]:
    for answer in answers:
        try:
            word = _word.decode(answer)
        except (msgspec.DecodeError, UnicodeError) as error:
            log.warning("metrics.unreadable", error=str(error))
            continue
        yield word.gateway, word.reading


def routes(metrics: Metrics, needs: Scope) -> list[Route]:
    """Build the routes; `needs` is what whoever asks must be allowed to do."""

    async def show(_: Request, given: Values) -> Response:
        text = metrics.local() if given["local"] else await metrics.everything()
        return Response(text, media_type=CONTENT_TYPE_PLAIN_0_0_4)

    return [replace(one, needs=needs).route(show) for one in OPERATIONS]


def format_text(gateways: Mapping[str, Reading], fleet: Reading) -> bytes:
    """Write readings as Prometheus text; what this build knows no metric for is left out."""
    families = [_family(one, (*one.labels, "gateway"), _labelled(gateways, one.name)) for one in GATEWAY]
    families += [_family(one, one.labels, fleet.get(one.name, ())) for one in FLEET]
    registry = CollectorRegistry()
    registry.register(_Families([one for one in families if one.samples]))
    return generate_latest(registry)


def _labelled(gateways: Mapping[str, Reading], name: str) -> Iterable[tuple[Labels, Value]]:
    for gateway, reading in gateways.items():
        for labels, value in reading.get(name, ()):
            yield (*labels, gateway), value


def _family(measure: Measure, names: Labels, values: Iterable[tuple[Labels, Value]]) -> Metric:
    """Put the values of one metric together; those of a build with other labels or bounds are left out."""
    plain: CounterMetricFamily | GaugeMetricFamily
    if measure.kind is Kind.HISTOGRAM:
        return _histogram(measure, names, values)
    kind = CounterMetricFamily if measure.kind is Kind.COUNTER else GaugeMetricFamily
    plain = kind(measure.name, measure.meaning, labels=names)
    for labels, value in values:
        if len(labels) == len(names) and not isinstance(value, list):
            plain.add_metric(labels, value)
    return plain


def _histogram(measure: Measure, names: Labels, values: Iterable[tuple[Labels, Value]]) -> Metric:
    histogram = HistogramMetricFamily(measure.name, measure.meaning, labels=names)
    ends = [*(str(one / 1e6) for one in measure.bounds_us), "+Inf"]
    for labels, value in values:
        if len(labels) == len(names) and isinstance(value, list) and len(value) == len(ends) + 1:
            histogram.add_metric(labels, list(zip(ends, value[1:], strict=True)), value[0])
    return histogram


class _Families(Collector):
    """Hands families to the library as it wants them."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families

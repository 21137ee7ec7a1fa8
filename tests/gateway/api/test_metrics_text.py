"""Prometheus text out of readings, and readings of several gateways over a real bus."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest
from prometheus_client import PROCESS_COLLECTOR
from prometheus_client.parser import text_string_to_metric_families

from gateway.api.measures import FLEET, GATEWAY, MEASURES, Kind
from gateway.api.metrics import Metrics, Word, format_text
from gateway.api.process import read_process
from gateway.api.readings import BOUNDS_US, Reading
from processors.bus import Bus, BusAddress, Endpoint, connect
from protocol import subjects


def samples(text: bytes) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Read text as Prometheus does: (name, labels) -> value."""
    return {
        (one.name, tuple(sorted(one.labels.items()))): one.value
        for family in text_string_to_metric_families(text.decode())
        for one in family.samples
    }


def clients(count: float) -> Reading:
    return {"tickgate_clients": [((), count)]}


def of(gateway: str) -> tuple[tuple[str, str], ...]:
    return (("gateway", gateway),)


def test_every_metric_has_a_name_of_its_own_a_meaning_and_its_unit():
    names = [one.name for one in MEASURES]
    assert len(set(names)) == len(names)
    assert all(one.meaning for one in MEASURES)
    assert all(one.name.endswith("_total") == (one.kind is Kind.COUNTER) for one in MEASURES)
    assert all(one.name.endswith("_seconds") for one in MEASURES if one.kind is Kind.HISTOGRAM)
    assert not {"gateway"}.intersection(*(one.labels for one in MEASURES))


def test_a_gateways_figures_bear_its_name_and_those_of_the_fleet_none():
    text = format_text({"a": clients(3), "b": clients(4)}, {"tickgate_gateways": [((), 2.0)]})
    assert samples(text) == {
        ("tickgate_clients", of("a")): 3,
        ("tickgate_clients", of("b")): 4,
        ("tickgate_gateways", ()): 2,
    }
    assert b"# HELP tickgate_clients WebSocket clients that are connected\n" in text


def test_a_histogram_has_its_buckets_its_sum_and_its_count():
    name = "tickgate_http_request_seconds"
    ends = len(BOUNDS_US[name])
    value = [0.5, *[1.0] * (ends - 1), 2.0, 3.0]
    found = samples(format_text({"a": {name: [(("bars",), value)]}}, {}))
    labels = (("gateway", "a"), ("route", "bars"))
    assert found[f"{name}_sum", labels] == 0.5
    assert found[f"{name}_count", labels] == 3
    assert found[f"{name}_bucket", (*labels[:1], ("le", "0.000256"), *labels[1:])] == 1
    assert found[f"{name}_bucket", (*labels[:1], ("le", "8.388608"), *labels[1:])] == 2
    assert found[f"{name}_bucket", (*labels[:1], ("le", "+Inf"), *labels[1:])] == 3


@pytest.mark.parametrize(
    "reading",
    [
        {"tickgate_of_tomorrow": [((), 1.0)]},
        {"tickgate_clients": [(("a label",), 1.0)]},
        {"tickgate_clients": [((), [1.0, 2.0])]},
        {"tickgate_http_request_seconds": [(("bars",), [1.0, 2.0])]},
        {"tickgate_http_request_seconds": [(("bars",), 1.0)]},
    ],
)
def test_what_this_build_knows_no_metric_for_is_left_out(reading: Reading):
    assert samples(format_text({"a": reading}, {})) == {}


def test_what_clients_wrote_cannot_break_out_of_a_label():
    hostile = 'x"} 1\ntickgate_clients{gateway="y\\'
    text = format_text({hostile: clients(1)}, {})
    assert samples(text) == {("tickgate_clients", of(hostile)): 1}


def test_the_process_says_what_it_costs():
    figures = read_process()
    assert set(figures) == {one.name for one in GATEWAY if one.name.startswith("process_")}
    library = {one.name: one.value for family in PROCESS_COLLECTOR.collect() for one in family.samples}
    assert set(figures) == set(library)
    for name in ("process_start_time_seconds", "process_max_fds", "process_resident_memory_bytes"):
        assert figures[name] == pytest.approx(library[name], rel=0.05)


def test_open_files_are_counted():
    before = read_process()["process_open_fds"]
    with contextlib.ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(socket.socket())
        assert read_process()["process_open_fds"] == before + 5


@asynccontextmanager
async def serving(bus: Bus, *figures: Metrics) -> AsyncIterator[None]:
    """Let these answer whoever gathers."""
    async with asyncio.TaskGroup() as tasks:
        for one in figures:
            await bus.serve("test-metrics", "1.0.0", "figures", [], {}, slow=[one.endpoint()], tasks=tasks)
        await bus.flush()
        yield


async def test_any_gateway_answers_for_all_of_them(nats_url):
    fleet: Reading = {"tickgate_recorder_up": [((), 1.0)]}
    async with (
        connect(BusAddress([nats_url]), "test") as bus,
        connect(BusAddress([nats_url]), "other") as other,
    ):
        here = Metrics("here", lambda: clients(1), lambda: fleet, bus)
        there = Metrics("there", lambda: clients(2), dict, other)
        async with serving(bus, here), serving(other, there):
            found = samples(await here.everything())
            assert found["tickgate_clients", of("here")] == 1
            assert found["tickgate_clients", of("there")] == 2
            assert found["tickgate_gateways", ()] == 2
            assert found["tickgate_recorder_up", ()] == 1
            alone = samples(here.local())
            assert ("tickgate_clients", of("there")) not in alone
            assert ("tickgate_recorder_up", ()) not in alone


async def test_an_answer_that_makes_no_sense_harms_nobody(nats_url):
    async with connect(BusAddress([nats_url]), "test") as bus:
        nonsense = Endpoint("odd", subjects.REQUEST_METRICS, lambda *_: msgspec.json.encode([1]))
        await bus.serve("test-odd-metrics", "1.0.0", "nonsense", [nonsense], {})
        here = Metrics("alone", lambda: clients(1), dict, bus)
        async with serving(bus, here):
            assert samples(await here.everything())["tickgate_clients", of("alone")] == 1


async def test_who_asks_together_gets_the_same_answer(nats_url):
    async with connect(BusAddress([nats_url]), "test") as bus:
        read: list[float] = []

        def reading() -> Reading:
            read.append(1.0)
            return clients(len(read))

        here = Metrics("often", reading, dict, bus)
        first, *others = await asyncio.gather(*(here.everything() for _ in range(20)))
        assert others == [first] * 19
        assert len(read) == 1


async def test_a_reading_survives_the_way_over_the_bus(nats_url):
    async with connect(BusAddress([nats_url]), "test") as bus:
        here = Metrics("traveller", lambda: clients(7), dict, bus)
        async with serving(bus, here):
            answers = await bus.gather(subjects.REQUEST_METRICS, b"", 1.0)
    words = [msgspec.json.decode(one, type=Word) for one in answers]
    mine = next(one for one in words if one.gateway == "traveller")
    assert mine.reading["tickgate_clients"] == [((), 7.0)]


def test_what_gateways_say_and_what_they_hear_are_different_metrics():
    assert {one.name for one in GATEWAY}.isdisjoint(one.name for one in FLEET)

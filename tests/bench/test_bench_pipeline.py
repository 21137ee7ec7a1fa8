"""The bench of the pipeline: how many clients a gateway holds, and what is said of a run."""

from bench.listeners import draw_watchlists
from bench.pipeline import Params, plan_headline, plan_processes, run


async def test_one_gateway_holds_2000_clients():
    params = Params(symbols=10, rate=1, clients=2_000, watchlist=3, watchlists=50, seconds=1, workers=1)
    rows = {row["name"]: row for row in (await run(params))["results"]["rows"]}
    ours = rows["tickgate"]
    assert (ours["lost_clients"], ours["slow_clients"]) == (0, 0)
    assert ours["records_per_s"] > 2_000


def test_distinct_watchlists_are_shared_in_turn():
    symbols = [f"S{number}" for number in range(50)]
    lists = draw_watchlists(symbols, clients=9, size=5, distinct=3)
    assert len(lists) == 9
    assert lists[0] == lists[3] == lists[6]
    assert len({tuple(one) for one in lists}) == 3
    assert draw_watchlists(symbols, 9, 5, 3) == lists, "the same for the same seed"


SEEN = {
    "age": {"p50_us": 820.0, "p99_us": 2_200.0, "p999_us": 4_300.0},
    "frames": 35_000, "records": 60_000, "lost_clients": 0,
}  # fmt: skip


def test_what_the_gateway_spent_is_shared_by_the_frames_that_came():
    row = plan_headline(SEEN, {"slow_clients": 0}, {"gateway": 0.42, "clients": 0.4}, 2_000, 2.0)
    assert row["cpu_us_per_frame"] == 12.0
    assert (row["messages_per_s"], row["frames_per_s"], row["records_per_s"]) == (1_000, 17_500, 30_000)
    assert not row["load_limited"]


def test_clients_that_fill_a_core_are_said_to_be_the_limit():
    assert plan_headline(SEEN, {"slow_clients": 0}, {"clients": 1.9}, 2_000, 2.0)["load_limited"]


def test_a_process_has_its_share_of_every_update():
    rows = plan_processes({"feed": 0.2, "gateway": 0.4}, 2_000, 2.0)
    assert rows == [
        {"name": "process_feed", "cpu_us_per_update": 100.0, "core_share": 0.1},
        {"name": "process_gateway", "cpu_us_per_update": 200.0, "core_share": 0.2},
    ]

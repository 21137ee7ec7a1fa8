from gateway.api.state_log import describe_turn
from gateway.health import State


def counted(clients: int, frames: int, requests: int) -> dict:
    return {
        "clients": clients,
        "frames_written": frames,
        "trades_delivered": 10 * frames,
        "values_coalesced": 0,
        "route_latencies": {"bars": {"count": requests}, "price": {"count": 1}},
        "hops": {"gateway": {"p99_us": 812.5}},
    }


def test_the_line_says_what_was_added_since_the_last_and_how_it_stands():
    health = {"status": State.DEGRADED, "parts": {"bus": State.OK, "cache": State.DEGRADED}}
    assert describe_turn(counted(2, 100, 3), counted(5, 140, 10), health) == {
        "status": "degraded",
        "amiss": ["cache"],
        "clients": 5,
        "frames": 40,
        "trades": 400,
        "coalesced": 0,
        "requests": 7,
        "p99_us": {"gateway": 812},
    }

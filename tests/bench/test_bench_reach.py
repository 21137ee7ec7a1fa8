"""What is wanted of the benchmarks, and how it is judged."""

import pytest

from bench.all import SUITE
from bench.reach import WANTED, Want, against, figure, judge, ratio


def results(**rows: float) -> dict:
    named = [{"name": name, "cpu_us_per_frame": value} for name, value in rows.items()]
    return {"fanout": {"results": {"rows": named}}}


def test_a_ratio_is_ours_by_theirs():
    ours = against("fanout", "starlette", "cpu_us_per_frame")
    assert ours(results(tickgate=4.0, starlette=16.0)) == 0.25


@pytest.mark.parametrize(
    "there", [{}, {"fanout": {"results": {"rows": [{"name": "tickgate", "missing": "x"}]}}}]
)
def test_what_was_not_measured_is_no_figure(there):
    assert figure("fanout", "tickgate", "cpu_us_per_frame")(there) is None
    assert against("fanout", "starlette", "cpu_us_per_frame")(there) is None


def test_nothing_is_divided_by_nothing():
    nothing = figure("fanout", "starlette", "cpu_us_per_frame")
    assert ratio(nothing, nothing)(results(starlette=0.0)) is None


def test_a_want_is_met_up_to_its_limit():
    assert Want("", figure("", "", ""), at_most=1.2).is_met(1.2)
    assert not Want("", figure("", "", ""), at_most=1.2).is_met(1.21)
    assert Want("", figure("", "", ""), at_least=16).is_met(16)
    assert not Want("", figure("", "", ""), at_least=16).is_met(15.9)


def test_each_want_is_judged_and_the_others_are_said_to_be_unmeasured():
    judged = {one.what: one for one in judge(results(tickgate=5.0, starlette=16.0, kernel_limit=4.0))}
    assert len(judged) == len(WANTED)
    assert judged["fan-out, CPU a frame: ours / Starlette"].is_met is True
    assert judged["fan-out, CPU a frame: ours / C send() loop"].is_met is False
    assert judged["fan-out, CPU a frame: ours / uWebSockets"].is_met is None


def test_every_want_needs_only_what_the_suite_measures():
    asked = set()

    class Asked(dict):
        def __contains__(self, name: object) -> bool:
            asked.add(name)
            return False

    list(judge(Asked()))
    assert asked <= set(SUITE)

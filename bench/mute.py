"""How soon a mute stream is found by its rhythm, and how often a sound one is suspected.

Plays the moments at which messages came through the same code that watches the connections: captured
ones of real streams where there are any, and streams of a seeded market in which messages come
independently of each other. A suspicion in the uncut stream is a false alarm. Then the stream is cut
at random moments: from the cut until the suspicion is the detection time. A suspicion costs a second
connection, which must prove it, before anything is replaced or reported.
"""

import gzip
import random
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.result import Row, result
from gateway.feeds.connections.line import LOOK_S
from gateway.feeds.connections.rhythm import RhythmRules, Rhythms

CAPTURES: Final = Path("../shared/data/binance-ws")
SEED: Final = 7
MARKET: Final = (20.0, 5.0, 1.0, 0.2)
"""Messages a second of the seeded streams."""


@dataclass(frozen=True, slots=True)
class Params:
    captures: str = str(CAPTURES)
    """A folder of `.gz` files with lines `<receive time in ns> <combined-stream message>`."""
    cuts: int = 200
    """How often each stream is cut."""
    hours: float = 6.0
    """How long the seeded streams are."""
    factor: float = RhythmRules().factor_all
    """So many times the longest silence that was is suspicious."""


@dataclass(frozen=True, slots=True)
class Stream:
    name: str
    source: str
    arrivals_ms: Sequence[int]


def run(params: Params) -> dict[str, Any]:
    """Measure once."""
    rules = RhythmRules(factor_all=params.factor)
    streams = [*captured(Path(params.captures)), *seeded(params.hours)]
    return result("mute", params, [measure(stream, rules, params.cuts) for stream in streams])


def measure(stream: Stream, rules: RhythmRules, cuts: int) -> Row:
    """Listen to a stream as to the only one of its connection."""
    false_alarms, learned_at = listen(stream.arrivals_ms, rules)
    hours = (stream.arrivals_ms[-1] - stream.arrivals_ms[0]) / 3_600_000
    found_ms = sorted(detect(stream.arrivals_ms, rules, learned_at, cuts))
    row = {
        "name": f"{stream.source}/{stream.name}",
        "messages_per_s": round(len(stream.arrivals_ms) / hours / 3_600, 2),
        "minutes": round(hours * 60, 1),
        "false_alarms": false_alarms,
        "false_alarms_per_hour": round(false_alarms / hours, 2),
    }
    if found_ms:  # else it was too short to learn its rhythm
        row["p50_s"] = round(found_ms[len(found_ms) // 2] / 1_000, 2)
        row["max_s"] = round(found_ms[-1] / 1_000, 2)
    return row


def listen(arrivals_ms: Sequence[int], rules: RhythmRules) -> tuple[int, int]:
    """Count the suspicions in an uncut stream, and say from which message on it is judged."""
    rhythms = listener(rules, arrivals_ms[0])
    false_alarms, learned_at = 0, len(arrivals_ms)
    for number, now_ms in enumerate(arrivals_ms):
        silence = rhythms.silence(now_ms - 1)
        if silence is not None and silence.is_learned:
            false_alarms += 1
        if learned_at > number and is_judged(rhythms, now_ms):
            learned_at = number
        rhythms.heard("S", now_ms)
    return false_alarms, learned_at


def detect(arrivals_ms: Sequence[int], rules: RhythmRules, learned_at: int, cuts: int) -> Iterator[int]:
    """Cut the stream at random moments and yield how long it took to notice, in ms."""
    draw = random.Random(SEED)
    moments = sorted(
        draw.uniform(arrivals_ms[learned_at], arrivals_ms[-1])
        for _ in range(cuts if learned_at < len(arrivals_ms) else 0)
    )
    rhythms, heard = listener(rules, arrivals_ms[0]), 0
    for cut_ms in moments:
        until = bisect_right(arrivals_ms, cut_ms)
        for now_ms in arrivals_ms[heard:until]:
            rhythms.heard("S", now_ms)
        heard = until
        yield noticed_ms(rhythms, arrivals_ms[until - 1]) - round(cut_ms)


def noticed_ms(rhythms: Rhythms, last_ms: int) -> int:
    """Say at which look the silence after the last message is suspicious."""
    look_ms = round(LOOK_S * 1_000)
    now_ms = last_ms
    while rhythms.silence(now_ms) is None:
        now_ms += look_ms
    return now_ms


def is_judged(rhythms: Rhythms, now_ms: int) -> bool:
    silence = rhythms.silence(now_ms + 86_400_000)
    return silence is not None and silence.is_learned


def listener(rules: RhythmRules, start_ms: int) -> Rhythms:
    rhythms = Rhythms(rules)
    rhythms.want({"S"})
    rhythms.listen(start_ms)
    return rhythms


# What is listened to


def captured(folder: Path) -> Iterator[Stream]:
    """Yield the streams of the captured files; none where there is no such folder."""
    for path in sorted(folder.glob("*.gz")):
        arrivals: dict[str, list[int]] = {}
        with gzip.open(path, "rt") as lines:
            for line in lines:
                received_ns, _, message = line.partition(" ")
                if message.startswith('{"stream":"'):
                    arrivals.setdefault(message.split('"', 4)[3], []).append(int(received_ns) // 1_000_000)
        for name, moments in arrivals.items():
            if moments[0] < moments[-1]:
                yield Stream(name, path.name.removesuffix(".gz"), moments)


def seeded(hours: float) -> Iterator[Stream]:
    """Yield streams whose messages come at random moments, independently of each other."""
    for rate in MARKET:
        draw, now_s, moments = random.Random(SEED), 1_000.0, []
        while now_s < 1_000.0 + hours * 3_600:
            now_s += draw.expovariate(rate)
            moments.append(round(now_s * 1_000))
        yield Stream(f"{rate:g} a second", "seeded market", moments)


# For people


def format_table(result: dict[str, Any]) -> str:
    """Lay the result out for a terminal."""
    lines = [
        f"mute: {result['params']['cuts']} cuts of each stream, suspicious after"
        f" {result['params']['factor']:g} x the longest silence of the last 5 to 10 minutes",
        "",
        f"{'source/stream':<56}{'a second':>9}{'minutes':>9}{'false/h':>9}{'p50 s':>8}{'max s':>8}",
    ]
    for row in result["results"]["rows"]:
        found = "".join(f"{row[name]:>8.1f}" if name in row else f"{'–':>8}" for name in ("p50_s", "max_s"))
        lines.append(
            f"{row['name']:<56}{row['messages_per_s']:>9.1f}{row['minutes']:>9.1f}"
            f"{row['false_alarms_per_hour']:>9.2f}{found}"
        )
    return "\n".join(lines)

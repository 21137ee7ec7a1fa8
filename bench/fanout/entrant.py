"""A contender with its clients: connects them, has it send, and says what that has cost."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from bench.fanout.contenders import Contender
from bench.fanout.reader import MOST_SHARE, Reader, Seen
from bench.machine import cpu_s, resident_kb
from bench.result import Row

PATIENCE: Final = 20
"""Who needs so many times as long as its pace allows, and these seconds, is given up."""
PATIENCE_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Window:
    """What some rounds of one contender have cost."""

    wanted_s: float
    """How long they take at their pace."""
    seen: Seen
    cpu_s: float
    beside_cpu_s: dict[str, float]

    @property
    def frames_per_s(self) -> float:
        return self.seen.frames / max(self.seen.seconds, self.wanted_s)


class Entrant:
    """A contender with its clients, and what was measured of it."""

    def __init__(self, contender: Contender, clients: Reader, count: int, rate: float) -> None:
        self.windows: list[Window] = []
        """Those that count."""
        self._contender = contender
        self._clients = clients
        self._count = count
        self._rate = rate
        self._connects_per_s = 0.0
        self._kb_per_client: float | None = None

    async def connect(self) -> None:
        """Connect all clients. The first one is there before memory counts: it brings in what all share."""
        port, more = self._contender.port, self._count - 1
        await self._clients.connect(port, 1)
        if more:
            before_kb = resident_kb(self._contender.pid)
            self._connects_per_s = more / await self._clients.connect(port, more)
            self._kb_per_client = (resident_kb(self._contender.pid) - before_kb) / more

    async def send(self, rounds: int) -> Window:
        """Have so many rounds sent and say what that has cost."""
        contender = self._contender
        await self._clients.begin()
        before_s, beside_s = cpu_s(contender.pid), self._beside_s()
        await contender.send(rounds, PATIENCE_S + PATIENCE * rounds / self._rate)
        seen = await self._clients.end(rounds * self._count)
        spent = {role: spent_s - beside_s[role] for role, spent_s in self._beside_s().items()}
        return Window(rounds / self._rate, seen, cpu_s(contender.pid) - before_s, spent)

    def _beside_s(self) -> dict[str, float]:
        return {role: cpu_s(pid) for role, pid in self._contender.beside.items()}

    def row(self) -> Row:
        row: Row = {"name": self._contender.name}
        if self.windows:
            row |= self._figures()
        if self._kb_per_client is not None:
            row["kb_per_client"] = round(self._kb_per_client, 1)
            row["connects_per_s"] = round(self._connects_per_s)
        return row

    def _figures(self) -> Row:
        seen = [one.seen for one in self.windows]
        share = median(one.share for one in seen)
        figures: Row = {"cpu_us_per_frame": _per_frame([one.cpu_s for one in self.windows], seen)}
        for role in self._contender.beside:
            spent = [one.beside_cpu_s[role] for one in self.windows]
            figures[f"{role}_cpu_us_per_frame"] = _per_frame(spent, seen)
        return figures | {
            "frames_per_s": round(median(one.frames_per_s for one in self.windows)),
            "p50_us": median(one.p50_us for one in seen),
            "p99_us": median(one.p99_us for one in seen),
            "frames": sum(one.frames for one in seen),
            "frame_bytes": round(sum(one.bytes for one in seen) / max(sum(one.frames for one in seen), 1)),
            "fewest_frames": sum(one.fewest for one in seen),
            "strange_frames": sum(one.strange for one in seen),
            "lost_clients": seen[-1].lost,
            "reader_share": round(share, 3),
            "load_limited": share > MOST_SHARE,
        }


def _per_frame(spent_s: Sequence[float], seen: Sequence[Seen]) -> float:
    return round(median(s * 1e6 / max(one.frames, 1) for s, one in zip(spent_s, seen, strict=True)), 2)

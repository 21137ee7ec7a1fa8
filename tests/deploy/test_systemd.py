"""`deploy/systemd/tickgate.service`: what systemd says of it, without running it."""

import re
import subprocess
import sys
from pathlib import Path

from programs import program

from gateway.config.load import load_settings

UNIT = Path(__file__).parents[2] / "deploy/systemd/tickgate.service"
MOST_EXPOSED = 20
"""Of 100; `systemd-analyze security` counts what a broken-into service could still do. Ours has 14."""


def analyze(*arguments: str) -> str:
    ran = subprocess.run(
        [program("systemd-analyze"), *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout + ran.stderr


def test_systemd_understands_every_line(tmp_path):
    # It wants to see the program, which is not installed here: any other will do.
    text = re.sub(r"^ExecStart=\S+", f"ExecStart={sys.executable}", UNIT.read_text(), flags=re.MULTILINE)
    unit = tmp_path / "tickgate.service"
    unit.write_text(text)
    said = analyze("verify", "--man=no", str(unit))
    assert "tickgate.service" not in said, said


def test_little_is_left_to_whoever_breaks_in():
    analyze("security", "--offline=true", f"--threshold={MOST_EXPOSED}", str(UNIT))


def test_what_it_sets_are_settings_that_are_accepted():
    lines = re.findall(r"^Environment=(.*)$", UNIT.read_text(), re.MULTILINE)
    given = dict(word.split("=", 1) for line in lines for word in line.split())
    settings = load_settings(None, given, {})
    assert settings.auth.anonymous == "no", "behind a proxy everybody comes from this machine"
    assert settings.data.folder == Path("/var/lib/tickgate")

"""`Dockerfile`: checked without Docker, and what it runs is run."""

import fnmatch
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

from dockerfile import Line, read

from gateway.config.load import LINES

ROOT = Path(__file__).parents[2]
KNOWN = {
    *("FROM", "COPY", "RUN", "ENV", "LABEL", "USER", "WORKDIR"),
    *("VOLUME", "EXPOSE", "HEALTHCHECK", "ENTRYPOINT", "CMD"),
}


LINES_OF_IT = read()


def rest_of(instruction: str) -> list[str]:
    return [line.rest for line in LINES_OF_IT if line.instruction == instruction]


def last_stage() -> list[Line]:
    start = max(place for place, line in enumerate(LINES_OF_IT) if line.instruction == "FROM")
    return LINES_OF_IT[start:]


def test_every_instruction_is_known():
    assert {line.instruction for line in LINES_OF_IT} <= KNOWN


def test_every_image_is_pinned_and_both_stages_have_the_same_python():
    images = [rest.split()[0] for rest in rest_of("FROM")]
    assert all(re.search(r":\d+\.\d+\.\d+", image) for image in images), images
    assert len({image for image in images if "python" in image}) == 1


def test_what_is_copied_exists_and_is_let_in():
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    let_in = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    assert ignored[1] == "*", "everything that is not named stays outside"
    copied = [rest.split()[:-1] for rest in rest_of("COPY") if not rest.startswith("--from")]
    names = {name for sources in copied for name in sources}
    assert all((ROOT / name).exists() for name in names)
    assert names == let_in


def test_every_package_of_ours_is_copied():
    packages = re.search(r'^packages = (\[.*"bench"\])$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert packages
    assert set(json.loads(packages[1])) <= {rest.split()[0] for rest in rest_of("COPY")}


def test_what_comes_from_another_stage_exists_there():
    stages = {rest.split()[-1] for rest in rest_of("FROM") if " AS " in rest}
    sources = [rest for rest in rest_of("COPY") if rest.startswith("--from=")]
    assert {rest.split()[0].removeprefix("--from=") for rest in sources} <= stages


def test_it_runs_as_nobody_in_particular_and_writes_to_its_volume():
    stage = {line.instruction: line.rest for line in last_stage()}
    assert stage["USER"].isdecimal(), "a number: Kubernetes cannot tell whether a name is root"
    assert int(stage["USER"]) > 0
    assert stage["VOLUME"] == stage["WORKDIR"] == environment()["DATA_FOLDER"]
    assert stage["EXPOSE"] == environment()["SERVER_PORT"]


def environment() -> dict[str, str]:
    words = [word for line in last_stage() if line.instruction == "ENV" for word in shlex.split(line.rest)]
    return dict(word.split("=", 1) for word in words)


def test_what_it_sets_are_settings():
    assert set(environment()) - {"PATH"} <= {line.env for line in LINES.values()}


def test_its_command_is_one_of_ours():
    (entrypoint,), (command,) = rest_of("ENTRYPOINT"), rest_of("CMD")
    program, *arguments = json.loads(entrypoint) + json.loads(command)
    assert f'{program} = "gateway.cli:main"' in (ROOT / "pyproject.toml").read_text()
    ran = subprocess.run(
        [sys.executable, "-m", "gateway.cli", *arguments, "--help"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
        check=True,
    )
    assert "Run everything on the real exchange" in ran.stdout


def test_nothing_secret_and_nothing_written_gets_in():
    ignored = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for name in (".env", "data/metadata.sqlite", ".git/config", "tests/conftest.py", ".venv/bin/python"):
        assert not any(fnmatch.fnmatch(name, f"{line[1:]}*") for line in ignored), name

"""Settings from a YAML file, the environment and the command line, checked once and together.

The command line wins over the environment, the environment over the file. An environment
variable that is set but empty counts as not set, as `${NAME:-}` in a compose file leaves it.
Every mistake of all three is reported in one go, each with its place and its source. The
table itself is `settings.py`.
"""

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml
from pydantic import SecretStr, ValidationError

from gateway.config.settings import Line, Settings, table
from gateway.config.values import HIDDEN, format_value

__all__ = [
    "BadSettings",
    "Given",
    "Settings",
    "changed",
    "environment_of",
    "format_table",
    "gather",
    "load_settings",
]

CONFIG_PATH: Final = "CONFIG_PATH"
"""The environment name that stands for `--config`."""
LINES: Final = {line.path: line for line in table()}
_TABLE_HEAD: Final = """\
# Settings

Printed by `tickgate config --table`. Each can be set in the YAML file that `--config` or `CONFIG_PATH`
names (`server.port` is `port:` under `server:`), by its environment variable, and some by a flag. Flags
win over the environment, the environment over the file. Durations are written as `15s`, `5m` or `250ms`,
lists in the environment with commas. What is marked as not used yet is read and checked, and has no effect.

| name | environment | flag | default | what it is |
|---|---|---|---|---|"""


class Given(NamedTuple):
    """A value that somebody gave, and where: said when it is wrong, and by `tickgate config`."""

    value: Any
    source: str


class BadSettings(Exception):
    """What was configured cannot be used; carries every mistake."""

    exit_code = 2

    def __init__(self, mistakes: list[str]) -> None:
        self.mistakes = mistakes
        super().__init__("\n  ".join(["the settings are wrong:", *mistakes]))


def load_settings(config: Path | None, environ: Mapping[str, str], overrides: Mapping[str, Any]) -> Settings:
    """Gather, check and freeze. `overrides` are by dotted name. Raises BadSettings with all mistakes."""
    given, mistakes = gather(config, environ, overrides)
    nested: dict[str, Any] = {}
    for path, one in given.items():
        *groups, last = path.split(".")
        section = nested
        for group in groups:
            section = section.setdefault(group, {})
        section[last] = one.value
    try:
        settings = Settings.model_validate(nested)
    except ValidationError as error:
        raise BadSettings(mistakes + list(_explain(error, given))) from None
    if mistakes:
        raise BadSettings(mistakes)
    return settings


def gather(
    config: Path | None, environ: Mapping[str, str], overrides: Mapping[str, Any]
) -> tuple[dict[str, Given], list[str]]:
    """Return what each source says by dotted name, the strongest last word, and what is no setting."""
    given: dict[str, Given] = {}
    mistakes: list[str] = []
    if config is None and environ.get(CONFIG_PATH):
        config = Path(environ[CONFIG_PATH])
    if config is not None:
        for path, value in _read_file(config, mistakes):
            given[path] = Given(value, f"{config}: {path}")
    for line in LINES.values():
        if environ.get(line.env):
            given[line.path] = Given(environ[line.env], f"environment: {line.env}")
    for path, value in overrides.items():
        if path in LINES:
            given[path] = Given(value, LINES[path].flag or "command line")
        else:
            mistakes.append(f"{path}: no such setting{_did_you_mean(path)} (command line)")
    return given, mistakes


def changed(settings: Settings, overrides: Mapping[str, Any]) -> Settings:
    """Return the settings with some values changed, by dotted name."""
    return load_settings(None, environment_of(settings), overrides)


def environment_of(settings: Settings) -> dict[str, str]:
    """Return the environment that gives a child process the same settings, and no config file."""
    values = {line.env: format_value(line.value_in(settings)) for line in LINES.values()}
    return {**values, CONFIG_PATH: ""}


def format_table() -> str:
    """Print the table of `settings.py` as Markdown: that is `SETTINGS.md`."""
    rows = [
        f"| {_code(line.path)} | {_code(line.env)} | {_code(line.flag or '')} "
        f"| {_code(line.show(line.default))} | {line.meaning} |"
        for line in LINES.values()
    ]
    return "\n".join([_TABLE_HEAD, *rows, ""])


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _read_file(config: Path, mistakes: list[str]) -> list[tuple[str, Any]]:
    try:
        content = yaml.safe_load(config.read_text(encoding="utf-8"))
    except OSError as error:
        mistakes.append(f"{config}: {error.strerror or error}")
        return []
    except (yaml.YAMLError, UnicodeError) as error:
        mistakes.append(f"{config}: not YAML: {' '.join(str(error).split())}")
        return []
    if content is not None and not isinstance(content, dict):
        mistakes.append(f"{config}: the file must hold sections, such as `server:`")
        return []
    return list(_flatten(content or {}, "", config, mistakes))


def _flatten(
    section: dict[Any, Any], prefix: str, config: Path, mistakes: list[str]
) -> Iterator[tuple[str, Any]]:
    for key, value in section.items():
        path = f"{prefix}{key}"
        is_section = any(known.startswith(f"{path}.") for known in LINES)
        if is_section and isinstance(value, dict):
            yield from _flatten(value, f"{path}.", config, mistakes)
        elif is_section and value is not None:
            mistakes.append(f"{path}: a section, it cannot be {value!r} ({config})")
        elif not is_section and path not in LINES:
            mistakes.append(f"{path}: no such setting{_did_you_mean(path)} ({config})")
        elif value is not None:  # `key:` with nothing behind it says nothing
            yield path, value


def _did_you_mean(path: str) -> str:
    sections = {path.rpartition(".")[0] for path in LINES}
    near = difflib.get_close_matches(path, [*LINES, *sections], n=1, cutoff=0.75)
    near = near or [known for known in LINES if known.endswith(f".{path.rpartition('.')[2]}")][:1]
    return f", did you mean {near[0]}?" if near else ""


def _explain(error: ValidationError, given: dict[str, Given]) -> Iterator[str]:
    for mistake in error.errors(include_url=False):
        path = ".".join(str(part) for part in mistake["loc"])
        line = next((LINES[known] for known in _prefixes(mistake["loc"]) if known in LINES), None)
        reason = mistake["msg"].removeprefix("Value error, ")
        if line is None or line.path not in given:  # a rule about a whole section
            yield f"{path}: {reason}"
        else:
            value, source = given[line.path]
            shown = HIDDEN if _is_secret(line) else repr(value)
            yield f"{line.path}: {shown}: {reason[0].lower()}{reason[1:]} ({source})"


def _prefixes(loc: tuple[int | str, ...]) -> Iterator[str]:
    return (".".join(str(part) for part in loc[:length]) for length in range(len(loc), 0, -1))


def _is_secret(line: Line) -> bool:
    return isinstance(line.default, SecretStr) or line.path == "messaging.nats.url"

"""The command line's share of the settings: flags made from the table, mistakes made into one line.

@settings_options("server.port", "data.folder")
def up(settings: Settings) -> None: ...
"""

import functools
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import click

from gateway.config.load import LINES, BadSettings, gather, load_settings
from gateway.processes.lifetime import Failure

environ: Final[Mapping[str, str]] = os.environ
"""The one place that looks at the environment; everybody else is handed what it says."""
config_option = click.option(
    "--config", type=click.Path(path_type=Path), help="YAML file with settings  [CONFIG_PATH]", metavar="FILE"
)


class Commands(click.Group):
    """Commands whose known failures are one line on stderr and an exit code, never a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (Failure, BadSettings) as error:
            click.echo(f"Error: {error}", err=True)
            ctx.exit(error.exit_code)


def settings_options(
    *paths: str, defaults: Mapping[str, str] | None = None, **renamed: str
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command these settings as flags, and hand it all `settings` as its first argument.

    `defaults` are this command's own, for what nobody has set.
    """

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def wrapped(config: Path | None, **arguments: Any) -> Any:
            overrides = {path: arguments.pop(_parameter(path)) for path in paths}
            overrides = {path: value for path, value in overrides.items() if value is not None}
            given, _ = gather(config, environ, overrides)
            own = {path: value for path, value in (defaults or {}).items() if path not in given}
            return command(load_settings(config, environ, own | overrides), **arguments)

        for path in reversed(paths):
            wrapped = _option(path, renamed.get(_parameter(path)), (defaults or {}).get(path))(wrapped)
        return config_option(wrapped)

    return decorate


def _option(path: str, flag: str | None, own_default: str | None) -> Callable[..., Any]:
    line = LINES[path]
    default = own_default or line.show(line.default) or "empty"
    return click.option(
        flag or line.flag or f"--{path.rpartition('.')[2]}",
        _parameter(path),
        help=f"{line.meaning}  [{line.env}; default {default if len(default) < 40 else f'{default[:35]}…'}]",
        metavar=_metavar(line.default),
    )


def _metavar(default: object) -> str:
    match default:
        case tuple():
            return "NAME,NAME…"
        case Path():
            return "FOLDER"
        case str():
            return "WORD"
        case _:
            return "NUMBER"


def _parameter(path: str) -> str:
    return path.replace(".", "_")

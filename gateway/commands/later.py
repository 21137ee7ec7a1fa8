"""Groups of commands that are loaded when they are called: most commands need none of what those load."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any, NamedTuple

import click

from gateway.config.flags import Commands


class Later(NamedTuple):
    """A command that is not loaded yet."""

    place: str
    """`module:name`."""
    help: str
    """Its line in the list of commands."""


class LaterCommands(Commands):
    """A group, some of whose commands are loaded when somebody calls them."""

    def __init__(self, *arguments: Any, later: Mapping[str, Later], **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._later = later

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *self._later])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._later:
            return super().get_command(ctx, cmd_name)
        module, _, name = self._later[cmd_name].place.partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        names = self.list_commands(ctx)
        width = formatter.width - 6 - max(map(len, names))
        rows = [(name, self._short_help(ctx, name, width)) for name in names]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def _short_help(self, ctx: click.Context, name: str, width: int) -> str:
        if name in self._later:
            return self._later[name].help
        command = super().get_command(ctx, name)
        return command.get_short_help_str(width) if command else ""

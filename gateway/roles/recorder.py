"""The recorder process: will own the history store. It records nothing yet and connects nowhere.

It is started and stopped like the others, so that a fleet that runs it today needs no change
on the day it starts to write.
"""

import asyncio

import structlog

from gateway.config.load import Settings

log = structlog.get_logger()


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Wait until `stop` is set."""
    log.info("recorder.idle", folder=str(settings.data.folder), reason="nothing is recorded yet")
    await stop.wait()
    log.info("recorder.stopped")

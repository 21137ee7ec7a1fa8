from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from account_rig import AccountRig, open_rig

from processors.bus import Bus, BusAddress, connect


@pytest.fixture
async def bus(nats_url: str) -> AsyncIterator[Bus]:
    async with connect(BusAddress([nats_url]), "accounts") as connected:
        yield connected


@pytest.fixture
async def rig(tmp_path: Path, bus: Bus) -> AsyncIterator[AccountRig]:
    async with open_rig(tmp_path, bus) as opened:
        yield opened

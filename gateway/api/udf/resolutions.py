"""What TradingView calls our intervals: minutes are bare numbers, the rest a number and a capital letter.

`1M` is a month and `1` a minute: case is never folded. Old clients leave the 1 of `1D`, `1W`, `1M` out.
"""

from typing import Final

RESOLUTIONS: Final[dict[str, int]] = {
    "1": 1,
    "3": 3,
    "5": 5,
    "15": 15,
    "30": 30,
    "60": 60,
    "120": 120,
    "240": 240,
    "360": 360,
    "480": 480,
    "720": 720,
    "1D": 1_440,
    "3D": 4_320,
    "1W": 10_080,
    "1M": 43_200,
}
"""As the wire counts them, `protocol/intervals.py`."""
ACCEPTED: Final = RESOLUTIONS | {"D": 1_440, "W": 10_080, "M": 43_200}
INTRADAY: Final = [name for name in RESOLUTIONS if name.isdigit()]
DAILY: Final = ["1", "3"]
WEEKLY: Final = ["1"]
MONTHLY: Final = ["1"]

"""The page at `/`: sources in TypeScript here, what is built of them in `dist`, served by `gateway/api/page.py`."""

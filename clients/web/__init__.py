"""The page at `/`: its sources, and in `dist` what is built of them and served by `gateway/api/page.py`."""

"""The page at `/`: static files, served by `gateway/api/app.py` from this folder."""

"""`tickgate bench ingest`: a feed worker beside what else reads an exchange's socket; begin at contest.py."""

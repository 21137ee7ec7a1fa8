"""What must outlive every process, in SQL: users, sessions, API keys, market watches, and the symbols' ids.

The one door to SQLAlchemy and Alembic. May import `gateway.config` and nothing else of the gateway.
"""

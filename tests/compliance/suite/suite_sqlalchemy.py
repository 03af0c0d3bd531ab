"""SQLAlchemy's suite for third-party dialects, every test of it, unmodified."""

from sqlalchemy.testing.suite import *  # noqa: F403

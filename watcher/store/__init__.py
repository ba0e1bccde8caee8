"""The only memory: SQLAlchemy Core over SQLite or PostgreSQL."""

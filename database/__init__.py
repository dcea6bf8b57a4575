"""Market data: stocks.db, what fills it, and the one face the rest reads it through (db_manager)."""

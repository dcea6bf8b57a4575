"""Facts every other layer stands on: settings, time, the calendar, SQLite, errors, logs."""

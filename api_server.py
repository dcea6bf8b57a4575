"""Starts the HTTP server: ``.venv/bin/gunicorn -c gunicorn.conf.py api_server:app``."""

from orchestra import messenger
from orchestra.web.app import create_app

app = create_app()
messenger.start()

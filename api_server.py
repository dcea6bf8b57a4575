"""Starts the HTTP server: ``.venv/bin/gunicorn -c gunicorn.conf.py api_server:app``."""

import threading

from orchestra import messenger
from orchestra.web.app import create_app
from system_databse import wear

app = create_app()
messenger.start()
counted = ("api", threading.Event())
threading.Thread(target=wear.keep_counting, args=counted, name="wear", daemon=True).start()

"""Builds the Flask application: configuration, the page's files, headers, and one handler for errors."""

import hashlib
import logging
from pathlib import Path
from typing import Any

from flask import Flask, Response, jsonify, request, send_from_directory
from werkzeug.exceptions import HTTPException

from orchestra.base import logs, settings, sqlite
from orchestra.base.errors import (
    BadInput,
    ExchangeUnavailable,
    ForeignContents,
    LedgerDamaged,
    LedgerGone,
    NotFound,
    StorageFull,
    StorageLocked,
)
from orchestra.live_lock import refuse_unarmed_live
from orchestra.web import (
    backtest_routes,
    market_routes,
    owner_routes,
    report_routes,
    routes,
    security,
)
from orchestra.web.backtests import BacktestDesk
from orchestra.web.description import description
from orchestra.web.request_log import RequestLog
from orchestra.web.security import ApiError
from orchestra.web.wall import Wall
from system_databse import create_system_db, system_db_manager

FRONTEND = settings.ROOT / "frontend"
LARGEST_BODY = 16 * 1024
SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
        " connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none';"
        " frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
HTTP_CODES = {400: "bad_request", 404: "not_found", 405: "method_not_allowed", 413: "too_large"}

log = logging.getLogger("autotrader.api")
request_log = RequestLog()


def create_app() -> Flask:
    """Build the application on the current settings. Raises SettingsError where it must not start."""
    chosen = settings.current()
    logs.start_logging("api", chosen.log_dir, chosen.log_total_bytes)
    refuse_unarmed_live()
    create_system_db.create_database()
    system_db_manager.follow_replacement()
    app = Flask("autotrader", static_folder=None)
    app.config.update(
        MAX_CONTENT_LENGTH=LARGEST_BODY,
        TRUSTED_HOSTS=sorted(security.OWN_HOSTS | (chosen.allowed_hosts or set())),
        SEND_FILE_MAX_AGE_DEFAULT=0,
        BUILD=_build_of(FRONTEND),
    )
    app.extensions["wall"] = Wall()
    app.before_request(security.check_request)
    app.register_blueprint(routes.blueprint)
    app.register_blueprint(owner_routes.blueprint)
    app.register_blueprint(market_routes.blueprint)
    app.register_blueprint(report_routes.blueprint)
    app.register_blueprint(backtest_routes.blueprint)
    app.extensions[backtest_routes.DESK] = BacktestDesk()
    app.add_url_rule("/", "page", _page_file, defaults={"name": "index.html"})
    app.add_url_rule("/<name>", "page_file", _page_file)
    app.add_url_rule("/healthz", "healthz", _healthz)
    app.add_url_rule("/api/openapi.json", "openapi", lambda: jsonify(description()))
    app.after_request(_finish)
    app.register_error_handler(Exception, _answer_error)
    return app


def _build_of(folder: Path) -> str:
    """Name the page's files by their contents: an open page reloads when the name changes."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def _page_file(name: str) -> Response:
    return send_from_directory(FRONTEND, name)


def _healthz() -> Response:
    return Response("ok", mimetype="text/plain")


def _finish(response: Response) -> Response:
    response.headers.update(SECURITY_HEADERS)
    request_log.note(request.method, request.path, response.status_code)
    if request.path.startswith("/api/"):
        response.headers["Cache-Control"] = "no-store"
    return response


def _answer_error(error: Exception) -> Any:
    """Turn any error into ``{"error": sentence, "code": snake_case}``; no traceback leaves here."""
    headers: dict[str, str] = {}
    fields: dict[str, Any] = {}
    if isinstance(error, ApiError):
        status, code, sentence = error.status, error.code, str(error)
        headers, fields = error.headers, error.fields
    elif isinstance(error, NotFound):
        status, code, sentence = 404, "not_found", str(error)
    elif isinstance(error, BadInput):
        status, code, sentence = 400, "bad_input", str(error)
    elif isinstance(error, ExchangeUnavailable):
        status, code, sentence = 503, "broker_unreachable", str(error)
    elif isinstance(error, LedgerGone):
        status, code, sentence = 503, "ledger_gone", str(error)
    elif isinstance(error, ForeignContents):
        status, code, sentence = 503, "foreign_contents", str(error)
    elif isinstance(error, StorageFull):
        status, code = 503, "disk_full"
        sentence = "The disk is full: nothing was changed. Free some space and try again."
    elif isinstance(error, StorageLocked):
        status, code = 503, "database_locked"
        sentence = (
            "Something else holds a database locked: nothing was changed. Close it or try again."
        )
    elif isinstance(error, LedgerDamaged) or sqlite.is_damaged(error):
        status, code = 503, "database_damaged"
        sentence = (
            "A database is damaged. Stock data is replaced within minutes; if this stays: restore."
        )
    elif isinstance(error, HTTPException):
        status = error.code or 500
        code = HTTP_CODES.get(status, "http_error")
        sentence = error.description or error.name
        headers = {name: value for name, value in error.get_headers() if name == "Allow"}
    else:
        log.exception("A request failed: %s %s", request.method, request.path, exc_info=error)
        status, code = 500, "internal_error"
        sentence = "Something went wrong here; the log says what."
    response = jsonify({"error": sentence, "code": code, **fields})
    response.status_code = status
    response.headers.update(headers)
    return response

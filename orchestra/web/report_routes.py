"""The daily report for the page."""

from datetime import date

from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue

from orchestra import daily_report
from orchestra.web.security import ApiError
from system_databse import daily_reports

DAYS_OFFERED = 30

blueprint = Blueprint("report", __name__, url_prefix="/api")


@blueprint.get("/report")
def get_report() -> ResponseReturnValue:
    """Return the report of ``?day=YYYY-MM-DD``, by default the newest session's, and which days have one."""
    text = request.args.get("day")
    try:
        day = date.fromisoformat(text) if text is not None else None
    except ValueError:
        raise ApiError(400, "bad_input", "Expected day as YYYY-MM-DD.") from None
    return jsonify({"report": daily_report.of_day(day), "days": daily_reports.days(DAYS_OFFERED)})

"""The server's worker with a deadline that a test can wait for; gunicorn loads it by name."""

from orchestra.web.deadline_worker import DeadlineWorker


class ImpatientWorker(DeadlineWorker):
    longest_request_seconds = 1.0

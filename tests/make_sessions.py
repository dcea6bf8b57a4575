"""Writes orchestra/base/sessions.csv from exchange_calendars (run by hand, once)."""

import csv

import exchange_calendars

from orchestra.base.market_calendar import SESSIONS_FILE

FORMAT = "%Y-%m-%dT%H:%M:%SZ"


def main() -> None:
    schedule = exchange_calendars.get_calendar(
        "XNYS", start="2018-01-01", end="2030-12-31"
    ).schedule
    with SESSIONS_FILE.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["session", "open", "close"])
        for day, row in schedule.iterrows():
            writer.writerow(
                [day.date(), row["open"].strftime(FORMAT), row["close"].strftime(FORMAT)]
            )


if __name__ == "__main__":
    main()

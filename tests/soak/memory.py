"""Memory and descriptors of each process through the days, and whether one that lives on grows."""

from dataclasses import dataclass
from statistics import median

from tests.soak.journal import Row, of_kind

LARGEST_GROWTH = 0.03
ROLES = {  # by their heading
    "orchestrator": "orchestrator",
    "forkserver": "forkserver",
    "algorithm workers": "an algorithm's worker",
    "gunicorn": "gunicorn",
    "gunicorn's worker": "gunicorn's worker",
    "exchange": "exchange",
}
SETTLED_DAYS = 2  # of a life, the second of which is what its last one is held against


@dataclass(frozen=True)
class Life:
    """One process on its second calm day and on its last.

    Both figures are the medians of the day's looks: what a request under way opens, or a cut connection
    lacks, is gone at the next look; what is never closed is there at every one. ``pss`` is in kB.
    """

    role: str
    pid: int
    from_day: str
    to_day: str
    pss_first: float
    pss_last: float
    descriptors_first: float
    descriptors_last: float

    @property
    def growth(self) -> float:
        return self.pss_last / self.pss_first - 1

    @property
    def descriptor_growth(self) -> float:
        return self.descriptors_last / self.descriptors_first - 1


def lives(rows: list[Row], since: str) -> list[Life]:
    """Processes that lived through the calm days from ``since`` to the end: from their second day on.

    A fair comparison needs one life: what was killed in between has no growth, only a new start.
    """
    samples = [row for row in of_kind(rows, "sample") if row["day"] >= since]
    days = list(dict.fromkeys(row["day"] for row in samples))
    seen: dict[tuple[str, int], dict[str, list[Row]]] = {}
    for sample in samples:
        for each in sample["processes"]:
            looks = seen.setdefault((each["role"], each["pid"]), {})
            looks.setdefault(sample["day"], []).append(each)
    found = []
    for (role, pid), looks in sorted(seen.items()):
        if list(looks) != days or len(days) <= SETTLED_DAYS:
            continue
        first, last = looks[days[SETTLED_DAYS - 1]], looks[days[-1]]
        found.append(
            Life(
                role,
                pid,
                days[SETTLED_DAYS - 1],
                days[-1],
                median(each["pss_kb"] for each in first),
                median(each["pss_kb"] for each in last),
                median(each["descriptors"] for each in first),
                median(each["descriptors"] for each in last),
            )
        )
    return found


def table(rows: list[Row]) -> list[list[str]]:
    """Memory and descriptors of each role at the start and the end of each day, with a head."""
    found = [["day", "moment", *ROLES]]
    for row in of_kind(rows, "sample"):
        if row["moment"] not in ("start", "end"):
            continue
        cells = []
        for name in ROLES.values():
            each = [process for process in row["processes"] if process["role"] == name]
            megabytes = sum(process["pss_kb"] for process in each) / 1024
            descriptors = sum(process["descriptors"] for process in each)
            cells.append(f"{megabytes:.1f} / {descriptors}" if each else "-")
        found.append([row["day"], row["moment"], *cells])
    return found


def growth_table(found: list[Life]) -> list[list[str]]:
    """Each life from its settled state to its end, with a head."""
    return [
        ["process", "from", "to", "PSS MB", "growth", "descriptors"],
        *(
            [
                life.role,
                life.from_day,
                life.to_day,
                f"{life.pss_first / 1024:.1f} -> {life.pss_last / 1024:.1f}",
                f"{life.growth:+.1%}",
                f"{life.descriptors_first:g} -> {life.descriptors_last:g}",
            ]
            for life in found
        ),
    ]

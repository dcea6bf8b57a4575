"""Memory and descriptors of each process through the days, and whether one that lives on grows."""

from dataclasses import dataclass

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
SETTLED_SAMPLES = 3  # of a life: two days' starts and ends, before which a process may still fill


@dataclass(frozen=True)
class Life:
    """One process from the sample that counts as its settled state to its last."""

    role: str
    pid: int
    samples: int
    from_day: str
    to_day: str
    pss_first: int  # kB
    pss_last: int
    descriptors_first: int
    descriptors_last: int

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
    seen: dict[tuple[str, int], list[tuple[str, Row]]] = {}
    for sample in samples:
        for each in sample["processes"]:
            seen.setdefault((each["role"], each["pid"]), []).append((sample["day"], each))
    last = {(each["role"], each["pid"]) for each in samples[-1]["processes"]} if samples else set()
    found = []
    for (role, pid), states in sorted(seen.items()):
        if (role, pid) not in last or len(states) <= SETTLED_SAMPLES + 1:
            continue
        (from_day, first), (to_day, final) = states[SETTLED_SAMPLES], states[-1]
        found.append(
            Life(
                role,
                pid,
                len(states) - SETTLED_SAMPLES,
                from_day,
                to_day,
                first["pss_kb"],
                final["pss_kb"],
                first["descriptors"],
                final["descriptors"],
            )
        )
    return found


def table(rows: list[Row]) -> list[list[str]]:
    """Memory and descriptors of each role in every sample, with a head."""
    found = [["day", "moment", *ROLES]]
    for row in of_kind(rows, "sample"):
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
                f"{life.descriptors_first} -> {life.descriptors_last}",
            ]
            for life in found
        ),
    ]

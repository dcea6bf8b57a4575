"""Memory and descriptors of each process through the days, and whether one that lives on grows."""

from dataclasses import dataclass

from tests.soak.journal import Row, of_kind

LARGEST_GROWTH = 0.03
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

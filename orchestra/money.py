"""How gains are written for a person."""


def gain(dollars: float) -> str:
    """Dollars and cents with their sign, like +$1,204.50."""
    return f"{'-' if dollars < 0 else '+'}${abs(dollars):,.2f}"

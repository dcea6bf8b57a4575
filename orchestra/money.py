"""How amounts are written for a person."""


def gain(dollars: float) -> str:
    """Dollars and cents with their sign, like +$1,204.50."""
    return f"{'-' if dollars < 0 else '+'}{amount(abs(dollars))}"


def amount(dollars: float) -> str:
    """Dollars and cents, like $1,204.50 or, where more was given out than there is, -$3.00."""
    return f"{'-' if dollars < 0 else ''}${abs(dollars):,.2f}"

"""The HTTP side: cards, cash, PIN and the page. Reads both databases; orders are the orchestrator's."""

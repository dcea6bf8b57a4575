"""The soak: the whole terminal as real processes through weeks of days on which everything goes wrong."""

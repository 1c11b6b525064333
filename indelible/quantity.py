"""How many there are of something, for people."""


def counted(number: int, noun: str) -> str:
    """Return `1 event`, `1,200 events`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"

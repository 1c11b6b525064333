"""How many there are of something, for people."""

from collections.abc import Mapping


def counted(number: int, noun: str) -> str:
    """Return `1 event`, `1,200 events`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def tallied(errors: int, warnings: int, kinds: Mapping[str, int]) -> str:
    """Return `3 errors, 1 warning (3 missing, 1 deleted)`."""
    parts = ", ".join(f"{count:,} {kind}" for kind, count in kinds.items())
    counts = f"{counted(errors, 'error')}, {counted(warnings, 'warning')}"
    return f"{counts} ({parts})" if parts else counts

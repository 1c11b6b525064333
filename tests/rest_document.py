"""The table of `tests/rest_calls.py` in `docs/threat-model.md`: `python -m tests.rest_document`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.rest_calls import CALLS, IDENTITIES, MEANINGS

DOCUMENT: Final = Path(__file__).parents[1] / "docs" / "threat-model.md"
BEGIN: Final = (
    "<!-- Written by python -m tests.rest_document; what is between is held by a test. -->"
)
END: Final = "<!-- End of the table. -->"
SHOWN: Final = {"-": "·", "i": "I", "e": "E", "y": "yes", "!": "**!**", "o": "(yes)"}


def render_document(text: str) -> str:
    """Return the document with the table as it is now."""
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n{_render_table()}{END}{after}"


def _render_table() -> str:
    heads = [name.removeprefix("audit_") for name in IDENTITIES.values()]
    legend = "; ".join(f"{SHOWN[letter]} = {meaning}" for letter, meaning in MEANINGS.items())
    lines = [
        f"{legend}.",
        "",
        f"| | call | {' | '.join(heads)} |",
        f"|---|---|{'---|' * len(heads)}",
        *_render_rows(),
    ]
    return "\n".join(lines) + "\n"


def _render_rows() -> Iterator[str]:
    """Calls of one group that each identity gets the same of share a line."""
    shared: dict[tuple[str, str], list[str]] = {}
    for call in CALLS:
        shared.setdefault((call.group, call.cells), []).append(call.name)
    last = ""
    for (group, cells), names in shared.items():
        shown = " | ".join(SHOWN.get(cell, cell) for cell in cells)
        yield f"| {group if group != last else ''} | {'; '.join(names)} | {shown} |"
        last = group


if __name__ == "__main__":
    DOCUMENT.write_text(render_document(DOCUMENT.read_text("utf-8")), "utf-8")

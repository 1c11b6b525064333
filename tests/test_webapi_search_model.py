"""What OpenSearch finds of a question is what has a place, as places are computed from the events.

Both follow from the question by ways of their own: clauses over what the index has cut, and
comparisons with what is stored. Values are of many scripts and nearly alike, and questions are
parts of them.
"""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from indexer.settings import IndexSettings
from tests.cluster import Cluster
from tests.webapi_api import Api, store, write_events
from webapi.errors import ParameterError
from webapi.event_values import read_spelled
from webapi.highlights import Highlighter
from webapi.search_text import read_text

pytestmark = [pytest.mark.opensearch, pytest.mark.slow]

EVENTS: Final = 120
QUESTIONS: Final = 150
WORDS: Final = (
    "Ana", "ana", "José", "Jose\u0301", "Łukasz", "\u0131ş\u0131k", "Straße", "STRASSE",
    "\ufb01ne", "محمد", "محمد\u200cی", "שלום", "สมชาย", "田中", "タナカ", "김철수", "प्रिया", "नमस्ते",
    "O'Neill", "O\u2019Neill", "l'été", "Jean-Luc", "Ελένη", "Nguyễn", "Đào", "Фёдор",
    "\u1ecc\u0300y\u1ecd\u0301", "\uff2a\uff4f\uff48\uff4e", "ǆ", "œuvre", "ØRSTED", "naïve",
    "no\u00adhyphen", "snake_case", "Team42", "3,14", "J.R.R.", "v1.2.3", "a:b", "x/y", "50%",
    "#tag", "@home", "[br]", "&", 'q"uote', "back\\slash", "a..b", "-x", "10.0.0.1", "2001:db8::1",
    "admin", "role", "Role",
)  # fmt: skip
EMAILS: Final = (
    "ana@company.com", "Ana.Lopez@company.com", "bob-ana@Company.com", "ana42@company.com",
    "o'neil@x-corp.example", "jörg@exämple.de", "a+b@localhost",
)  # fmt: skip
IDS: Final = ("app_42", "APP-43", "a/b:c%20", "urn:x:y", "é-7", "É-7", "id with blank", "-5", "Δ1")
ADDRESSES: Final = ("203.0.113.9", "203.0.113.80", "2001:db8::1", "2001:db8:0:1::", "fe80::1")
NAMES: Final = {
    "actor.id": ("actor.id", "actor"),
    "actor.email": ("actor.email", "actor"),
    "actor.name": ("actor.name", "actor"),
    "resource.id": ("resource.id", "resource"),
    "resource.name": ("resource.name", "resource"),
    "userAgent": ("agent",),
    "ipAddress": ("ip",),
    "context.new.role": ("context", "context.role", "context.new.role"),
    "context.list": ("context", "context.list"),
}
"""By where a value stands: the fields that it is asked for in."""


def words(chance: random.Random) -> str:
    return " ".join(chance.choices(WORDS, k=chance.randint(1, 3)))


def fields(chance: random.Random) -> dict[str, object]:
    """Return what an application says of one event."""
    actor = {"type": "user", "id": chance.choice(IDS), "email": chance.choice(EMAILS)}
    value: object = chance.choice([words(chance), chance.choice(IDS), -5, 1e21, True])
    return {
        "action": chance.choice(("member.role_changed", "app.created", "zebra.danced")),
        "actor": {**actor, "name": words(chance)},
        "resource": {"type": "app", "id": chance.choice(IDS), "name": words(chance)},
        "ip_address": chance.choice(ADDRESSES),
        "user_agent": chance.choice(["curl/8.5.0", "Firefox/128.0 (X11)", words(chance)]),
        "context": {"new": {"role": value}, "list": [words(chance), [words(chance)]]},
    }


def texts(event: dict[str, object], path: str) -> Iterator[str]:
    """Yield the texts that stand somewhere in an event."""
    waiting: list[object] = [event]
    for key in path.split("."):
        waiting = [one[key] for one in waiting if isinstance(one, dict)]
    while waiting:
        one = waiting.pop()
        if isinstance(one, list):
            waiting += one
        else:
            yield one if isinstance(one, str) else json.dumps(one)


def question(chance: random.Random, event: dict[str, object]) -> str:
    """Return a question for a value of an event: whole, words of it, or the beginning of one."""
    path = chance.choice(list(NAMES))
    whole = chance.choice(list(texts(event, path)))
    word = chance.choice(whole.split(" "))
    text = chance.choice((whole, word, word[: chance.randint(1, len(word))] + "*"))
    text = chance.choice((text, text.lower(), text.upper()))
    name = chance.choice(("", *(f"{one}:" for one in NAMES[path])))
    if chance.random() < 0.4 and not text.endswith("*"):
        return f'{name}"{escape(text)}"'
    return name + escape(text)


def escape(text: str) -> str:
    kept = "*" if text.endswith("*") else ""
    plain = text.removesuffix("*")
    return "".join(f"\\{one}" if one in ' ()|"*\\:,-+' else one for one in plain) + kept


def test_what_is_found_has_a_place_and_nothing_else_has(
    opensearch: Cluster, index: IndexSettings, tmp_path: Path
) -> None:
    chance = random.Random(11)  # noqa: S311  # the same world in each run
    made = [fields(chance) for _ in range(EVENTS)]
    lines = write_events(tmp_path / "e.log", made, "2026-03-15T09:00:00Z")
    with opensearch.client("writer") as writer:
        store(writer, index, lines)
    api = Api(opensearch.client("reader"), index)
    answered = 0
    for _ in range(QUESTIONS):
        asked = question(chance, json.loads(chance.choice(lines)))
        try:
            highlighter = Highlighter(read_text(asked).node)
        except ParameterError:
            continue
        events = [read_spelled(line) for line in lines]
        placed = {str(event["id"]) for event in events if highlighter.places(event)}
        found = {event["id"] for event in api.page([("q", asked), ("limit", "200")])["events"]}
        assert found == placed, asked
        answered += bool(found)
    assert answered > QUESTIONS // 2

"""The page about the event format is true."""

import re
from hashlib import sha256
from pathlib import Path

import msgspec

from audit_events.chain import encode_hash, genesis, link, split_hash, verify_chain
from audit_events.event import Event, decode_event

PAGE = (Path(__file__).parent.parent / "docs" / "event-format.md").read_text(encoding="utf-8")


def _block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)\n```", PAGE, re.DOTALL)
    assert found is not None
    return found.group(1)


def test_the_table_lists_every_key_in_the_order_of_the_code() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (yes|no) \|", PAGE, re.MULTILINE)
    fields = msgspec.structs.fields(Event)
    assert [(field.encode_name, "yes" if field.required else "no") for field in fields] == rows


def test_the_worked_example_verifies_by_hand_and_by_code() -> None:
    line = _block("json").encode()
    source_id = decode_event(line).source.id
    assert sha256(source_id.encode()).hexdigest() == _block("text")
    unhashed, carried = split_hash(line)
    assert unhashed == line.replace(b',"hash":"' + carried.encode() + b'"', b"")
    assert encode_hash(link(genesis(source_id), unhashed)) == carried
    assert verify_chain([line]) == []

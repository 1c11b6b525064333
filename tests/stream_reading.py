"""What the tests of `/stream` share: an API that settles soon, an agent that ships, a consumer."""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec
from opensearchpy import OpenSearch

from audit_events.envelope import decode_envelope
from indexer.client import ask
from indexer.names import partition_name
from indexer.settings import IndexSettings
from tests.cluster import Cluster
from tests.event_ids import create_action
from tests.webapi_api import SETTINGS, Api
from webapi.arrivals import Arrivals
from webapi.audit_log import PATH
from webapi.parts import EXTENSION

STREAM = f"{PATH}/stream"
SETTLED_REFRESHES = 2


def api_of(opensearch: Cluster, index: IndexSettings, **settings: Any) -> Api:
    """An API that takes a checkpoint for settled sooner than a real one."""
    api = Api(opensearch.client("reader"), index, msgspec.structs.replace(SETTINGS, **settings))
    parts = api.app.extensions[EXTENSION]
    arrivals = Arrivals(parts.storage, index, SETTLED_REFRESHES)
    api.app.extensions[EXTENSION] = replace(parts, arrivals=arrivals)
    return api


def ship(
    writer: OpenSearch,
    index: IndexSettings,
    lines: Sequence[bytes],
    ingested_at: str = "2026-03-15T09:00:00.000000Z",
) -> list[str]:
    """Create the events as an agent does, with the stamp of its clock; return their ids."""
    body, ids = bytearray(), []
    for line in lines:
        envelope = decode_envelope(line)
        name = partition_name(envelope.timestamp, index)
        body += create_action(name, envelope.id)
        body += b'\n%b,"ingestedAt":"%b"}\n' % (line[:-1], ingested_at.encode())
        ids.append(envelope.id)
    reply = ask(writer, "POST", "/_bulk", body=bytes(body))
    assert '"errors":false' in reply.text, reply.text
    return ids


def page(api: Api, query: str, bearer: str = "") -> dict[str, Any]:
    response = api.get(query, path=STREAM, bearer=bearer)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.get_json()
    return found


def follow(api: Api, cursor: str, more: str = "") -> tuple[list[str], str]:
    """Read on until nothing comes for as long as one waits."""
    ids: list[str] = []
    while True:
        found = page(api, f"after={cursor}&limit=7{more}")
        cursor = found["cursor"]
        ids += [event["id"] for event in found["events"]]
        if not found["more"]:
            return ids, cursor
        if not found["events"]:
            time.sleep(0.1)


def until_settled(api: Api, cursor: str) -> tuple[list[str], str]:
    """Read on until all that was written before this call must have come."""
    ids: list[str] = []
    end, turns = time.monotonic() + SETTLED_REFRESHES + 3, 0
    # The turns are for a machine that stands still for so long.
    while time.monotonic() < end or turns < 10:
        turns += 1
        found, cursor = follow(api, cursor)
        ids += found
        time.sleep(0.3)
    return ids, cursor

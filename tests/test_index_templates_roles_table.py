"""Who may do what: every call of OpenSearch that changes something, with every identity.

The table is `tests/rest_calls.py`; that it is complete, the node's own handlers and opensearch-py
say (`tests/rest_surface.py`).
"""

from collections.abc import Iterator

import pytest

import node
from tests.node_home import node_config, own_home
from tests.rest_calls import ALTERS, CALLS, DONE, IDENTITIES, IMMUTABLE, REFUSED, Call
from tests.rest_document import DOCUMENT, render_document
from tests.rest_routes import read_routes
from tests.rest_surface import ABSENT, HARMLESS, find_unplaced, read_client_routes, spell
from tests.rest_world import Callers, make_world, run_callers

COLUMNS = list(IDENTITIES)
WORM = {"plugins.security.restapi.roles_enabled": ["administrator"]}


def cell(call: Call, identity: str) -> str:
    return call.cells[COLUMNS.index(identity)]


@pytest.mark.slow
def test_every_method_of_the_client_library_has_its_place() -> None:
    routes = read_client_routes()
    assert len(routes) > 250, "the library was not read"
    assert find_unplaced(routes) == []


@pytest.mark.opensearch
def test_every_handler_of_the_node_has_its_place() -> None:
    with own_home() as home:
        routes = read_routes(node.assemble(node_config(home)))
    assert len(routes) > 150, "the node was not read"
    assert find_unplaced(routes) == []


def test_a_new_call_is_found() -> None:
    assert find_unplaced({"PUT /{index}/_forget/{id}"}) == ["PUT /{index}/_forget/{id}"]
    assert find_unplaced({"POST /{index}/_bulk", "DELETE /{index}/_doc/{id}"}) == []


def test_what_is_called_harmless_is_not_in_the_table() -> None:
    harmless = {spell(route) for routes in HARMLESS.values() for route in routes}
    assert not harmless & {spell(call.route) for call in CALLS}
    assert all(ABSENT.values())


def test_the_table_says_one_thing_of_each_call() -> None:
    assert len({(call.group, call.name) for call in CALLS}) == len(CALLS)
    assert all(len(call.cells) == len(COLUMNS) for call in CALLS)


@pytest.mark.parametrize("identity", ["R", "A"])
def test_who_only_reads_changes_nothing(identity: str) -> None:
    done = {call.name for call in CALLS if cell(call, identity) in (DONE, ALTERS)}
    # Contexts of a search, which they open themselves.
    assert done <= {"clear a scroll", "open a point in time", "delete points in time"}


def test_who_keeps_api_tokens_has_nothing_to_do_with_events() -> None:
    assert {call.name for call in CALLS if cell(call, "T") in (DONE, ALTERS)} == set()


def test_the_writer_adds_and_nothing_else() -> None:
    altering = {call.name for call in CALLS if cell(call, "W") == ALTERS}
    assert altering == {"create an event", "index without an id", "bulk create"}


def test_the_documents_table_is_this_one() -> None:
    """`python -m tests.rest_document` writes it anew."""
    text = DOCUMENT.read_text("utf-8")
    assert render_document(text) == text


@pytest.fixture(scope="module", name="worm")
def _worm() -> Iterator[Callers]:
    with run_callers(WORM) as callers:
        yield callers


@pytest.mark.slow
@pytest.mark.secured
@pytest.mark.opensearch
@pytest.mark.timeout(900)
# The node warns of templates that overlap, which some calls are about.
@pytest.mark.filterwarnings("ignore::opensearchpy.exceptions.OpenSearchWarning")
@pytest.mark.parametrize("identity", COLUMNS, ids=IDENTITIES.values())
def test_who_may_do_what(worm: Callers, identity: str) -> None:
    """All calls of one identity; what alters is repaired by a new partition."""
    wrong, world = [], make_world(worm)
    for call in CALLS:
        found, said = world.attempt(identity, call)
        if found != cell(call, identity):
            wrong.append(f"{call.group}: {call.name}: {found}, not {cell(call, identity)}: {said}")
        if found == ALTERS or (call.spoils and found not in (REFUSED, IMMUTABLE)):
            world = make_world(worm)
    assert wrong == []

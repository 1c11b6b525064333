"""Who seals and deletes: what each answer of a cluster means."""

from typing import Literal

import pytest

from indexer.errors import RefusedError
from indexer.mode import find_mode, resolve
from indexer.settings import IndexSettings, LifecycleSettings
from tests.faults import UNREACHABLE, Answer, Fault, Faults, connect_through

NO_HANDLER = (400, '{"error":"no handler found for uri [/_plugins/_ism/…] and method [GET]"}')
NO_POLICY = (404, '{"error":{"type":"status_exception","reason":"Policy not found"},"status":404}')
A_POLICY = (200, '{"_id":"audit-events"}')
IMMUTABLE = (403, '{"error":{"type":"security_exception","reason":"Index is immutable"}}')
NOT_ALLOWED = (403, '{"error":{"type":"security_exception","reason":"no permissions for [x]"}}')
NO_INDEX = (404, '{"error":{"type":"index_not_found_exception"},"status":404}')
CLOSED = (200, '{"acknowledged":true}')
A_PAGE = (502, "<html>")


def answering(policy: tuple[int, str], close: tuple[int, str]) -> Faults:
    def script(_method: str, path: str, _body: bytes) -> Fault:
        status, text = close if path.endswith("_close") else policy
        answer: Answer = (status, {}, text)
        return lambda _send, _sent: answer

    return Faults(script)


@pytest.mark.parametrize(
    ("policy", "close", "setting", "name", "immutable"),
    [
        pytest.param(NO_HANDLER, NO_INDEX, "auto", "worm", False, id="nothing"),
        pytest.param(NO_HANDLER, NO_INDEX, "ism", "worm", False, id="no plugin, whatever is set"),
        pytest.param(NO_HANDLER, IMMUTABLE, "auto", "worm", True, id="immutable alone"),
        pytest.param(NO_POLICY, IMMUTABLE, "auto", "worm", True, id="both"),
        pytest.param(A_POLICY, IMMUTABLE, "ism", "worm", True, id="ISM could not delete"),
        pytest.param(NO_POLICY, NOT_ALLOWED, "auto", "ism", False, id="the plugin, and roles"),
        pytest.param(NO_POLICY, NO_INDEX, "auto", "ism", False, id="the plugin, no security"),
        pytest.param(NO_POLICY, NO_INDEX, "worm", "worm", False, id="the setting"),
        pytest.param(A_POLICY, IMMUTABLE, "worm", "worm", True, id="the setting, and immutable"),
        pytest.param(NO_POLICY, A_PAGE, "auto", "worm", None, id="a proxy in front: unsure"),
        pytest.param(NO_POLICY, CLOSED, "auto", "worm", None, id="something that agrees: unsure"),
        pytest.param(NO_POLICY, A_PAGE, "ism", "ism", None, id="unsure, so the setting says"),
    ],
)
def test_what_a_cluster_answers_says_who_deletes(
    policy: tuple[int, str],
    close: tuple[int, str],
    setting: Literal["auto", "worm", "ism"],
    name: str,
    *,
    immutable: bool | None,
) -> None:
    lifecycle = LifecycleSettings(mode=setting)
    with connect_through(UNREACHABLE, answering(policy, close), role="lifecycle") as client:
        mode = find_mode(client, IndexSettings(), lifecycle)
    assert (mode.name, mode.immutable) == (name, immutable)
    assert mode.plugin is (policy is not NO_HANDLER)
    # Whoever seals now: a policy of another mode may be installed still, with its delete.
    assert mode.may_delete is (mode.plugin and immutable is not True)
    assert mode.why
    assert resolve(lifecycle, mode).mode == name


def test_what_is_asked_can_do_no_harm() -> None:
    faults = answering(NO_POLICY, NO_INDEX)
    with connect_through(UNREACHABLE, faults, role="lifecycle") as client:
        find_mode(client, IndexSettings(prefix="audit-t1"), LifecycleSettings())
    assert set(faults.requests) == {
        "/_plugins/_ism/policies/audit-t1-events",
        "/audit-t1-events-0000.00/_close",
    }


@pytest.mark.parametrize("policy", [NOT_ALLOWED, A_PAGE])
def test_whether_the_plugin_is_there_must_be_known(policy: tuple[int, str]) -> None:
    with (
        connect_through(UNREACHABLE, answering(policy, NO_INDEX), role="lifecycle") as client,
        pytest.raises(RefusedError) as caught,
    ):
        find_mode(client, IndexSettings(), LifecycleSettings())
    assert caught.value.hint

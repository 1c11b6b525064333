"""The keys of an identity provider: known ones outlive it for a while, unknown ones cost little."""

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.jwks_provider import EC_KEY, PUBLISHED, RSA_KEY, jwk, provider, signed
from tests.waiting import wait_until
from webapi.auth import verifier
from webapi.errors import ProblemError, TokenError, UnavailableError
from webapi.keys import (
    REFRESH_SECONDS,
    RETRY_SECONDS,
    UNKNOWN_SECONDS,
    WAITING,
    KeySet,
    fetch_document,
    read_keys,
)

DOCUMENT = json.dumps(PUBLISHED).encode()
STALE_SECONDS = 1000.0


@dataclass(slots=True)
class Source:
    """A provider without a network, and a clock that is set by hand."""

    now: float = 0.0
    document: bytes | None = DOCUMENT
    asked: int = 0
    gate: threading.Event = field(default_factory=threading.Event)

    def fetch(self) -> bytes:
        self.asked += 1
        self.gate.wait(60)
        if self.document is None:
            raise OSError("refused")
        return self.document

    def keys(self) -> KeySet:
        self.gate.set()
        return KeySet(self.fetch, STALE_SECONDS, lambda: self.now)


def settle(keys: KeySet) -> None:
    """Wait for what is fetched meanwhile."""
    wait_until(lambda: keys._under_way is None, "it is fetched", pause_seconds=0.001)


def refusal(ask: Callable[[], object]) -> str:
    with pytest.raises(ProblemError) as caught:
        ask()
    return caught.value.code


def test_keys_are_fetched_once_and_again_when_they_are_old() -> None:
    source = Source()
    keys = source.keys()
    for _ in range(5):
        keys.find("rsa")
    assert source.asked == 1
    source.now = REFRESH_SECONDS
    keys.find("rsa")
    settle(keys)
    keys.find("rsa")
    assert source.asked == 2


def test_known_keys_outlive_a_provider_that_is_down_for_the_stated_time() -> None:
    source = Source()
    keys = source.keys()
    keys.find("rsa")
    source.document = None
    source.now = REFRESH_SECONDS + STALE_SECONDS - 1
    keys.find("rsa")
    settle(keys)
    source.now += 1
    assert refusal(lambda: keys.find("rsa")) == "keys_unavailable"
    source.document = DOCUMENT
    source.now += RETRY_SECONDS
    assert keys.find("rsa").key_id == "rsa", "it comes back by itself"


def test_a_key_that_the_provider_took_back_is_gone_with_the_next_refresh() -> None:
    source = Source()
    keys = source.keys()
    keys.find("rsa")
    source.document = json.dumps({"keys": [jwk("ES256", EC_KEY.public_key(), "ec")]}).encode()
    source.now = REFRESH_SECONDS
    keys.find("rsa")
    settle(keys)
    source.now += UNKNOWN_SECONDS
    assert refusal(lambda: keys.find("rsa")) == "token_invalid"


def test_a_flood_of_unknown_keys_asks_the_provider_once_in_a_while() -> None:
    source = Source()
    keys = source.keys()
    keys.find("rsa")
    for number in range(500):
        assert refusal(lambda number=number: keys.find(f"forged {number}")) == "token_invalid"  # type: ignore[misc]
    assert source.asked == 2
    source.now += UNKNOWN_SECONDS
    assert refusal(lambda: keys.find("forged")) == "token_invalid"
    assert source.asked == 3


def test_a_slow_provider_holds_few_threads_and_no_known_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("webapi.keys.WAIT_SECONDS", 60.0)
    source = Source()
    keys = source.keys()
    keys.find("rsa")
    source.gate.clear()
    with ThreadPoolExecutor(20) as pool:
        unknown = [pool.submit(lambda: refusal(lambda: keys.find("new"))) for _ in range(20)]
        refused = 20 - WAITING
        wait_until(lambda: sum(one.done() for one in unknown) >= refused, "few wait")
        assert keys.find("rsa").key_id == "rsa"
        assert sum(one.done() for one in unknown) == refused, "they wait still"
        source.gate.set()
        codes = [one.result() for one in unknown]
    assert codes.count("token_invalid") == WAITING
    assert codes.count("keys_unavailable") == 20 - WAITING
    assert source.asked == 2


def test_a_provider_that_never_answered_is_not_asked_at_each_request() -> None:
    source = Source(document=None)
    keys = source.keys()
    for _ in range(50):
        assert refusal(lambda: keys.find("rsa")) == "keys_unavailable"
    assert source.asked == 1


@pytest.mark.slow
def test_keys_rotate_under_load_without_a_refusal() -> None:
    """Against a real server: tokens of the old and of the new key come at once from 8 threads."""
    new_key = ec.generate_private_key(ec.SECP256R1())
    new = {"keys": [*PUBLISHED["keys"], jwk("ES256", new_key.public_key(), "new")]}
    old_token, new_token = signed(RSA_KEY, "RS256", "rsa"), signed(new_key, "ES256", "new")
    with provider() as server:
        verify = verifier(server.settings)
        assert verify(old_token).organization_id == "org_a"
        server.answer, server.delay_seconds = json.dumps(new).encode(), 0.2

        def ask(number: int) -> str:
            text = new_token if number % 2 else old_token
            try:
                return verify(text).organization_id
            except UnavailableError:
                # Too many wait at once: whoever comes again as told is answered.
                time.sleep(1)
                return ask(number)

        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(ask, range(200))) == {"org_a"}
        assert server.fetched == 2


def test_a_provider_that_is_down_refuses_nobody_who_is_known() -> None:
    with provider() as server:
        verify = verifier(server.settings)
        verify(signed(RSA_KEY, "RS256", "rsa"))
        server.is_down = True
        assert verify(signed(EC_KEY, "ES256", "ec")).organization_id == "org_a"
        with pytest.raises(TokenError):
            verify(signed(EC_KEY, "ES256", "unknown"))
    assert verify(signed(RSA_KEY, "RS256", "rsa")).organization_id == "org_a", "gone altogether"


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\xff", id="no text"),
        pytest.param(b"[1]", id="a list"),
        pytest.param(b'{"keys": {}}', id="an object of keys"),
        pytest.param(b'{"keys": [1]}', id="a number for a key"),
        pytest.param(b'{"keys": [{"kty": "RSA", "kid": "x", "n": "AQAB"}]}', id="half a key"),
        pytest.param(
            json.dumps({"keys": [{**PUBLISHED["keys"][0], "use": "enc"}]}).encode(),
            id="a key for something else",
        ),
        pytest.param(
            json.dumps(
                {"keys": [{k: v for k, v in PUBLISHED["keys"][0].items() if k != "kid"}]}
            ).encode(),
            id="a key without an id",
        ),
    ],
)
def test_what_is_no_set_of_keys_is_refused(document: bytes) -> None:
    with pytest.raises(ValueError, match="no "):
        read_keys(document)


def test_a_key_that_cannot_be_read_does_not_hide_the_others() -> None:
    keys = [{"kty": "unheard of", "kid": "x"}, *PUBLISHED["keys"]]
    assert set(read_keys(json.dumps({"keys": keys}).encode())) >= {"rsa", "ec", "ed"}


def test_a_document_without_end_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webapi.keys.MAX_BYTES", 1000)
    with provider() as server:
        server.answer = b" " * 100_000
        with pytest.raises(ValueError, match="too large"):
            fetch_document(server.settings.jwks_url or "")

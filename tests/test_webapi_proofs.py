"""What a proof stands for: the same bytes, under the same key, while the token is good."""

import json
from collections.abc import Callable, Mapping
from unittest.mock import Mock

import jwt
import pytest

import webapi.keys
from tests.jwks_provider import EC_KEY, RSA_KEY, jwk, provider, signed
from tests.waiting import wait_until
from tests.webapi_api import SETTINGS, token
from webapi.auth import Reader, verifier
from webapi.errors import TokenError
from webapi.proofs import MOST, Proof, Proofs

ANA = Reader(organization_id="org_a", role="owner", plan="enterprise", subject="u_ana")
KEY = object()
HEADER = {"kid": "k1"}


class Clock:
    """Seconds since 1970, as a test wants them."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def proof(reader: Reader = ANA) -> Proof:
    return Proof(reader, HEADER, KEY, verified_at=1000.0, expires_at=1060.0)


def current(_header: Mapping[str, object]) -> object:
    return KEY


@pytest.mark.parametrize(
    ("seconds", "is_proven"),
    [
        pytest.param(1000.0, True, id="when it was verified"),
        pytest.param(1059.9, True, id="just before it expires"),
        pytest.param(1060.0, False, id="when it expires"),
        pytest.param(999.9, False, id="by a clock that was set back"),
    ],
)
def test_a_proof_stands_from_its_verification_to_the_end_of_its_token(
    seconds: float, *, is_proven: bool
) -> None:
    clock = Clock()
    proofs = Proofs(clock)
    proofs.keep("a.b.c", proof())
    clock.now = seconds
    assert proofs.find("a.b.c", current) == (ANA if is_proven else None)


def test_a_proof_is_of_those_bytes_alone() -> None:
    proofs = Proofs(Clock())
    proofs.keep("a.b.c", proof())
    for other in ("a.b.d", "a.b", "a.b.c.", "A.b.c", ""):
        assert proofs.find(other, current) is None


def test_under_another_key_nothing_is_proven() -> None:
    """One that was fetched anew is another one, whatever it says: it costs one verification."""
    proofs = Proofs(Clock())
    proofs.keep("a.b.c", proof())
    asked: list[Mapping[str, object]] = []

    def renewed(header: Mapping[str, object]) -> object:
        asked.append(header)
        return object()

    assert proofs.find("a.b.c", renewed) is None
    assert asked == [HEADER]


def test_a_key_that_is_gone_refuses_as_a_verification_would() -> None:
    proofs = Proofs(Clock())
    proofs.keep("a.b.c", proof())

    def gone(_header: Mapping[str, object]) -> object:
        raise TokenError("token_invalid", "its key is not known")

    with pytest.raises(TokenError):
        proofs.find("a.b.c", gone)


def test_the_oldest_proofs_make_room() -> None:
    proofs = Proofs(Clock())
    for number in range(MOST + 10):
        proofs.keep(str(number), proof())
    kept = [number for number in range(MOST + 10) if proofs.find(str(number), current)]
    assert kept == list(range(10, MOST + 10))


def watched(monkeypatch: pytest.MonkeyPatch) -> Mock:
    """Return what counts the signatures that are verified from now on."""
    decode = Mock(wraps=jwt.decode)
    monkeypatch.setattr(jwt, "decode", decode)
    return decode


def test_a_token_is_verified_once_and_each_of_several_for_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    headers = {name: f"Bearer {token(name)}" for name in ("org_a", "org_b")}
    decode = watched(monkeypatch)
    verify = verifier(SETTINGS)
    for _ in range(3):
        for name, header in headers.items():
            assert verify(header).organization_id == name
    assert decode.call_count == len(headers)


def test_what_was_refused_is_refused_again(monkeypatch: pytest.MonkeyPatch) -> None:
    header = f"Bearer {token(claims={'organizationId': '_system'})}"
    decode = watched(monkeypatch)
    verify = verifier(SETTINGS)
    for _ in range(3):
        with pytest.raises(TokenError):
            verify(header)
    assert decode.call_count == 3


def is_refused(verify: Callable[[str], Reader], header: str) -> bool:
    try:
        verify(header)
    except TokenError as error:
        return error.code == "token_invalid"
    return False


@pytest.mark.parametrize("key_id", ["rsa", "ec"])
def test_a_key_that_the_provider_replaced_or_took_back_ends_its_tokens(
    key_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the new key has the old one's name."""
    header = signed(RSA_KEY, "RS256", "rsa")
    with provider() as server:
        server.answer = json.dumps({"keys": [jwk("RS256", RSA_KEY.public_key(), "rsa")]}).encode()
        verify = verifier(server.settings)
        for _ in range(3):
            assert verify(header).organization_id == "org_a"
        server.answer = json.dumps({"keys": [jwk("ES256", EC_KEY.public_key(), key_id)]}).encode()
        for name in ("REFRESH_SECONDS", "RETRY_SECONDS", "UNKNOWN_SECONDS"):
            monkeypatch.setattr(webapi.keys, name, 0.0)
        # The first one only has the keys fetched anew, and takes what is there meanwhile.
        wait_until(lambda: is_refused(verify, header), "the key is gone")

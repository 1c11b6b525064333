"""An OpenID Connect provider, spoken to by Authlib.

Every value that decides is ours: the issuer is the setting's and the provider's own description
must say the same (OpenID Connect Discovery 1.0, section 4.3), algorithms are pinned to public keys
(RFC 8725, sections 2.1 and 3.1), no redirect is followed, and each answer has its time.

Authlib has no types; all that is used of it is in this module.
"""

import importlib
import threading
import time
from collections.abc import Mapping
from typing import Any, Final, cast
from urllib.parse import urlencode, urlsplit

import msgspec
import requests
from joserfc import jwt
from joserfc.errors import ClaimError, ExpiredTokenError, InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet
from msgspec import Struct

from webapi.errors import ProblemError, UnavailableError
from webapi.settings import PUBLIC_KEY_ALGORITHMS, WebSettings, is_private_url, public_url

CALLBACK: Final = "/sign-in/oidc/callback"
TIMEOUT_SECONDS: Final = 5
METADATA_SECONDS: Final = 3600
KEYS_SECONDS: Final = 30
"""How often keys are fetched again for a key id that is not known, at most."""

SILENT_SECONDS: Final = 5
"""For how long a provider that did not answer is not asked again."""

_session: Any = importlib.import_module("authlib.integrations.requests_client").OAuth2Session
_oauth_error: Any = importlib.import_module("authlib.integrations.base_client").OAuthError
_id_token: Any = importlib.import_module("authlib.oidc.core").CodeIDToken


class Metadata(Struct, frozen=True):
    """What a provider says of itself (OpenID Connect Discovery 1.0, section 3)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    end_session_endpoint: str | None = None
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)
    authorization_response_iss_parameter_supported: bool = False


class Flow(Struct, frozen=True, kw_only=True):
    """One attempt to sign in, between the provider and back."""

    state: str
    nonce: str
    verifier: str
    destination: str
    at: int


class Provider:
    """The provider of the settings; for all threads of a process.

    Args:
        settings: with `oidc_issuer` and `oidc_client_id`.
    """

    def __init__(self, settings: WebSettings) -> None:
        self._settings = settings
        self._issuer = settings.oidc_issuer or ""
        self._silent_since = float("-inf")
        self._lock = threading.Lock()
        self._metadata: tuple[float, Metadata] | None = None
        self._keys: tuple[float, KeySet] | None = None

    def metadata(self) -> Metadata:
        """Return what the provider says of itself, at most an hour old.

        Raises:
            UnavailableError: it does not answer.
            ProblemError: it is another issuer, or has addresses that anybody could listen to.
        """
        with self._lock:
            now = time.monotonic()
            if self._metadata is None or now - self._metadata[0] > METADATA_SECONDS:
                content = self._get(self._issuer.rstrip("/") + "/.well-known/openid-configuration")
                self._metadata = (now, self._read_metadata(content))
            return self._metadata[1]

    def _read_metadata(self, content: bytes) -> Metadata:
        try:
            found = msgspec.json.decode(content, type=Metadata)
        except msgspec.DecodeError as error:
            raise _no_provider() from error
        if found.issuer != self._issuer:
            raise _refused("the provider says that it is another issuer")
        addresses = (found.authorization_endpoint, found.token_endpoint, found.jwks_uri)
        if not all(is_private_url(one) for one in addresses):
            raise _refused("the provider has an address that is not https")
        return found

    def authorization_url(self, flow: Flow) -> str:
        """Return where the browser goes to sign in."""
        with self._open() as session:
            url, _ = session.create_authorization_url(
                self.metadata().authorization_endpoint,
                state=flow.state,
                nonce=flow.nonce,
                code_verifier=flow.verifier,
            )
        return cast("str", url)

    def sign_out_url(self, back: str) -> str | None:
        """Return where the browser signs out of the provider, too (RP-Initiated Logout 1.0)."""
        endpoint = self.metadata().end_session_endpoint
        if endpoint is None or not is_private_url(endpoint):
            return None
        asked = {"client_id": self._settings.oidc_client_id, "post_logout_redirect_uri": back}
        return f"{endpoint}{'&' if urlsplit(endpoint).query else '?'}{urlencode(asked)}"

    def claims(self, code: str, flow: Flow) -> dict[str, object]:
        """Return the verified claims of the ID token that a code is good for.

        Raises:
            UnavailableError: the provider does not answer.
            ProblemError: it refuses the code, or its token proves nothing.
        """
        try:
            with self._open() as session:
                token: Any = session.fetch_token(
                    self.metadata().token_endpoint,
                    code=code,
                    code_verifier=flow.verifier,
                    grant_type="authorization_code",
                    redirect_uri=public_url(self._settings) + CALLBACK,
                    allow_redirects=False,
                    timeout=TIMEOUT_SECONDS,
                )
        except _oauth_error as error:
            raise _refused("the provider refuses what the browser brought back") from error
        except (requests.RequestException, ValueError) as error:
            raise _no_provider() from error
        return self._verify(token, flow)

    def _verify(self, token: Mapping[str, object], flow: Flow) -> dict[str, object]:
        text = token.get("id_token")
        if not isinstance(text, str):
            raise _refused("the provider's answer has no ID token")
        try:
            decoded = self._decode(text)
            client_id = self._settings.oidc_client_id
            claims = _id_token(
                decoded.claims,
                decoded.header,
                {
                    "iss": {"essential": True, "value": self._issuer},
                    "aud": {"essential": True, "value": client_id},
                    "sub": {"essential": True},
                },
                {
                    "nonce": flow.nonce,
                    "client_id": client_id,
                    "access_token": token.get("access_token"),
                },
            )
            claims.validate(leeway=self._settings.leeway_seconds)
        except ExpiredTokenError:
            raise _refused("the provider's ID token has expired; is a clock wrong?") from None
        except ClaimError as error:
            raise _refused(f"the claim {error.claim} of the provider's ID token is wrong") from None
        except (JoseError, ValueError) as error:
            raise _refused("the signature of the provider's ID token does not hold") from error
        return dict(decoded.claims)

    def _decode(self, text: str) -> jwt.Token:
        try:
            return jwt.decode(text, self._key_set(), algorithms=PUBLIC_KEY_ALGORITHMS)
        except InvalidKeyIdError:
            # It may have changed its keys.
            return jwt.decode(text, self._key_set(renew=True), algorithms=PUBLIC_KEY_ALGORITHMS)

    def _key_set(self, *, renew: bool = False) -> KeySet:
        address = self.metadata().jwks_uri
        with self._lock:
            is_young = self._keys is not None and time.monotonic() - self._keys[0] < KEYS_SECONDS
            if self._keys is None or (renew and not is_young):
                try:
                    found = KeySet.import_key_set(msgspec.json.decode(self._get(address)))
                except (msgspec.DecodeError, JoseError, TypeError, ValueError, KeyError) as error:
                    raise _no_provider() from error
                self._keys = (time.monotonic(), found)
            return self._keys[1]

    def _get(self, address: str) -> bytes:
        """Fetch what the provider publishes; after a failure nobody else waits for the next one.

        Anybody can ask for it, and a provider that is silent would else hold every thread.
        """
        if time.monotonic() - self._silent_since < SILENT_SECONDS:
            raise _no_provider()
        try:
            answer = requests.get(address, timeout=TIMEOUT_SECONDS, allow_redirects=False)
        except requests.RequestException as error:
            self._silent_since = time.monotonic()
            raise _no_provider() from error
        if answer.status_code != requests.codes.ok:
            self._silent_since = time.monotonic()
            raise _no_provider()
        return answer.content

    def _open(self) -> Any:  # noqa: ANN401  # Authlib has no types
        settings = self._settings
        secret = settings.oidc_client_secret
        methods = self.metadata().token_endpoint_auth_methods_supported
        in_body = secret is not None and "client_secret_basic" not in methods
        return _session(
            settings.oidc_client_id,
            None if secret is None else secret.reveal(),
            token_endpoint_auth_method="client_secret_post" if in_body else None,
            scope=" ".join(settings.oidc_scopes),
            redirect_uri=public_url(settings) + CALLBACK,
            code_challenge_method="S256",
        )


def _no_provider() -> UnavailableError:
    return UnavailableError("provider_unavailable", "the identity provider does not answer")


def _refused(why: str) -> ProblemError:
    return ProblemError("sign_in_failed", why)

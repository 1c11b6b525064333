"""What is recognised in a text, what is left alone, and that neither takes long."""

import time

import pytest

from audit_events.redaction import REDACTED, Redaction

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl"
_clean = Redaction().clean


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        pytest.param("Bearer abc123def456", "Bearer [redacted]", id="bearer"),
        pytest.param("BASIC dXNlcjpodW50ZXIy", "BASIC [redacted]", id="basic"),
        pytest.param("GET /\nCookie: a=b; c=d\nAccept: x", "GET /\nCookie: [redacted]\nAccept: x",
                     id="headers"),
        pytest.param("https://u:p@ss@host/x?token=abc&next=/y#access_token=z",
                     "https://u:[redacted]@host/x?token=[redacted]&next=/y#access_token=[redacted]",
                     id="a URL"),
        pytest.param("Server=db;User=sa;Pwd=hunter2;Encrypt=yes",
                     "Server=db;User=sa;Pwd=[redacted];Encrypt=yes", id="a connection string"),
        pytest.param('{"user": "a", "password": "hun\\"ter2", "x": 1}',
                     '{"user": "a", "password": "[redacted]", "x": 1}', id="JSON"),
        pytest.param('{"a":{"pin":1234},"b":{"token":["x"]}}',
                     '{"a":{"pin":"[redacted]"},"b":{"token":"[redacted]"', id="JSON, nested"),
        pytest.param('{\\"password\\": \\"hunter2\\"}', '{\\"password\\": \\"[redacted]\\"}',
                     id="JSON in JSON"),
        pytest.param("{'password': 'hunter2', 'b': 2}", "{'password': '[redacted]', 'b': 2}",
                     id="Python"),
        pytest.param("a: 1\n- api_key: abc", "a: 1\n- api_key: [redacted]", id="YAML"),
        pytest.param(f"with {JWT} in it", "with [redacted] in it", id="JSON web token"),
        pytest.param("-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY-----",
                     REDACTED, id="private key"),
        pytest.param("x -----BEGIN PRIVATE KEY-----\nMII", f"x {REDACTED}", id="half of one"),
        pytest.param("key ghp_abcdefghij1234567890abcdefgh", "key [redacted]", id="marked"),
    ],
)  # fmt: skip
def test_what_is_recognised_goes_and_the_rest_stays(text: str, cleaned: str) -> None:
    assert _clean(text) == cleaned
    assert _clean(cleaned) == cleaned


@pytest.mark.parametrize(
    "text",
    [
        "Basic membership", "bearer authentication enabled", "password changed by admin: ok",
        "the meeting is at 10:30: bring a=b", "token_type=bearer&expires=3", "2026-03-15T09:30:00Z",
        "ssh://git@github.com/x", "7b0f6c1e-6a3f-4c55-9d0c-2f6c4a3d9e10", '{"role":"admin"}',
    ],
)  # fmt: skip
def test_what_only_looks_so_stays(text: str) -> None:
    assert _clean(text) == text


@pytest.mark.parametrize(
    "piece",
    [
        "a ", "://", '"', '\\"', "a=b ", '"a":', '"a":{', "'a':[", "\\'a\\':", "eyJaaaaaaaa.", "a:",
        "-----BEGIN PRIVATE KEY-----", "Bearer ", "bearer 1", " basic a", "\\", '="', " :",
        "cookie", "a-.", "a=", "\npin: ", '"password":"', "password=", "Cookie: ", "://a:",
    ],
)  # fmt: skip
@pytest.mark.slow
def test_no_text_takes_time_that_grows_with_its_square(piece: str) -> None:
    def measure(size: int) -> float:
        text = piece * (size // len(piece)) + " : =@"
        start = time.process_time()
        _clean(text)
        return time.process_time() - start

    assert measure(200_000) < 0.05 + 40 * measure(20_000)

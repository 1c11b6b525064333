"""Passwords and the configuration of the security plugin."""

import base64
import hashlib

import msgspec

from node.security import PBKDF2_ITERATIONS, USERS, hash_password, make_passwords, render


def test_passwords_are_random_and_long() -> None:
    first, second = make_passwords(), make_passwords()
    assert set(first) == set(USERS)
    drawn = [*first.values(), *second.values()]
    assert len(set(drawn)) == len(drawn)
    assert min(map(len, drawn)) >= 43


def test_a_hash_has_the_notation_of_password4j() -> None:
    """That the plugin accepts it is what every test with a node shows."""
    _, algorithm, configuration, salt, digest = hash_password("secret", b"0123456789abcdef").split(
        "$"
    )
    assert algorithm == "3"
    assert divmod(int(configuration), 1 << 32) == (PBKDF2_ITERATIONS, 256)
    assert base64.b64decode(salt) == b"0123456789abcdef"
    expected = hashlib.pbkdf2_hmac("sha256", b"secret", b"0123456789abcdef", PBKDF2_ITERATIONS)
    assert base64.b64decode(digest) == expected


def test_the_configuration_has_no_password_and_no_user_but_ours() -> None:
    passwords = make_passwords()
    files = render(passwords)
    text = msgspec.json.encode(files).decode()
    assert not any(password in text for password in passwords.values())
    for demo in ("admin", "kibanaserver", "logstash", "readall"):
        assert f'"{demo}":' not in text
    users = files["internal_users.yml"]
    assert isinstance(users, dict)
    assert set(users) == {"_meta", *USERS}

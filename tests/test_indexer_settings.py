"""Groups of settings: what has no sense is refused, a secret is never shown."""

import msgspec
import pytest
from msgspec import Struct

from indexer.errors import SettingsError
from indexer.settings import ConnectionSettings, IndexSettings, LifecycleSettings, Secret
from indexer.settings_reading import read_group


def test_a_secret_never_shows() -> None:
    settings = ConnectionSettings(username="u", password=Secret("s3cret"))
    assert "s3cret" not in f"{settings} {settings!r} {settings.password} {settings.password!r}"
    assert Secret("a") == Secret("a") != Secret("b")
    assert len({Secret("a"), Secret("a")}) == 1


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        pytest.param({"WRITER_USERNAME": "w"}, "writer_username needs writer_password", id="user"),
        pytest.param({"PASSWORD": "p"}, "password needs username", id="password"),
        pytest.param({"CLIENT_KEY_FILE": "/k"}, "client_key_file needs", id="key alone"),
        pytest.param({"URL": "localhost:9200"}, "URL: ", id="no scheme"),
        pytest.param({"URL": "https://u:p@host:9200"}, "URL: ", id="credentials in the URL"),
    ],
)
def test_a_connection_that_cannot_work_is_refused(environ: dict[str, str], expected: str) -> None:
    named = {f"INDELIBLE_OPENSEARCH_{name}": value for name, value in environ.items()}
    with pytest.raises(SettingsError, match=expected):
        read_group("opensearch", ConnectionSettings, environ=named, document={})


def test_several_urls_are_taken() -> None:
    url = "https://a:9200,https://b:9200/path"
    environ = {"INDELIBLE_OPENSEARCH_URL": url}
    assert read_group("opensearch", ConnectionSettings, environ=environ, document={}).url == url


@pytest.mark.parametrize("shape", [ConnectionSettings, IndexSettings, LifecycleSettings])
def test_every_setting_is_described(shape: type[Struct]) -> None:
    schema = msgspec.json.schema(shape, schema_hook=as_text)["$defs"][shape.__name__]
    undescribed = [name for name, it in schema["properties"].items() if "description" not in it]
    assert schema["properties"]
    assert undescribed == []


def as_text(_kind: type) -> dict[str, object]:
    return {"type": "string"}

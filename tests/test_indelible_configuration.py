"""Where settings come from, and what a process finds when nothing is set."""

import json
from pathlib import Path

import msgspec
import platformdirs
import pytest

from indelible import configuration
from indelible.configuration import load
from indelible.errors import ForeignHomeError
from indelible.up import have_signing_key
from indexer.errors import SettingsError
from indexer.signing_key import read_private
from node import NodeConfig
from node.layout import find_layout


def test_everything_has_a_default_under_the_home(tmp_path: Path) -> None:
    found = load({"INDELIBLE_HOME": str(tmp_path)})
    assert found.embedded
    assert found.home == tmp_path
    assert found.agent.paths == (f"{tmp_path}/events/*.log",)
    assert found.agent.state_directory == f"{tmp_path}/agent"
    assert found.node.home == tmp_path / "node"
    assert found.connection.url == "https://127.0.0.1:9250"


@pytest.mark.parametrize(
    ("euid", "expected"),
    [
        pytest.param(0, Path("/var/lib/indelible"), id="root's data must be reachable for a user"),
        pytest.param(1000, platformdirs.user_data_path("indelible"), id="a user"),
    ],
)
def test_the_home_when_none_is_named(
    euid: int, expected: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: euid)
    assert configuration.home_directory({}) == expected


def test_all_problems_of_all_groups_are_reported_at_once(tmp_path: Path) -> None:
    document = tmp_path / "indelible.toml"
    document.write_text("[idnex]\nprefix = 1\n")
    with pytest.raises(SettingsError) as caught:
        load(
            {
                "INDELIBLE_CONFIG": str(document),
                "INDELIBLE_AGENT_BATCH_EVENTS": "0",
                "INDELIBLE_WEB_PORT": "eighty",
                "INDELIBLE_NODE_HTTP_PROT": "9300",
            }
        )
    report = "\n".join(caught.value.problems)
    for named in ("[idnex]", "BATCH_EVENTS", "INDELIBLE_WEB_PORT", "did you mean http_port"):
        assert named in report


def credentials_file(home: Path) -> None:
    """Write what the embedded node leaves in its home."""
    (home / "node").mkdir()
    users = {f"audit_{role}": f"{role}-password" for role in ("writer", "reader", "lifecycle")}
    content = {
        "users": users,
        "ca_file": str(home / "node" / "ca.pem"),
        "admin_cert_file": str(home / "node" / "admin.pem"),
        "admin_key_file": str(home / "node" / "admin.key"),
    }
    (home / "node" / "credentials.json").write_text(json.dumps(content))


def test_without_a_url_the_embedded_nodes_credentials_are_used(tmp_path: Path) -> None:
    credentials_file(tmp_path)
    found = load({"INDELIBLE_HOME": str(tmp_path), "INDELIBLE_NODE_HTTP_PORT": "9391"})
    assert found.connection.url == "https://127.0.0.1:9391"
    assert found.connection.ca_file == tmp_path / "node" / "ca.pem"
    assert found.connection.writer_username == "audit_writer"
    assert found.connection.reader_password is not None
    assert found.connection.reader_password.reveal() == "reader-password"
    assert found.index.replicas == 0
    assert found.lifecycle.admin_cert_file == tmp_path / "node" / "admin.pem"
    assert found.lifecycle.admin_key_file == tmp_path / "node" / "admin.key"


def test_a_home_that_is_none_is_told_by_every_command(tmp_path: Path) -> None:
    """So is one that this user may not enter, which no test of root can show."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ForeignHomeError, match="file cannot be used as the home: Not a directory"):
        load({"INDELIBLE_HOME": str(tmp_path / "file")})


PATHS = {
    "opensearch": ["ca_file", "client_cert_file", "client_key_file"],
    "lifecycle": [
        *("archive_path", "signing_key_file", "heads_file", "admin_cert_file", "admin_key_file")
    ],
    "agent": ["paths", "state_directory"],
    "web": ["state_directory", "audit_path"],
    "catalogue": ["path"],
}


def test_a_nul_is_told_by_its_setting(tmp_path: Path) -> None:
    """A file can have one, and what opens such a path says nothing that helps."""
    text = "".join(
        f"[{group}]\n"
        + "".join(f"{name} = {'[%s]' if name == 'paths' else '%s'}\n" for name in names)
        for group, names in PATHS.items()
    )
    (tmp_path / "c.toml").write_text(text.replace("%s", r'"/a\u0000b"'))
    with pytest.raises(SettingsError) as caught:
        load({"INDELIBLE_CONFIG": str(tmp_path / "c.toml")})
    assert sorted(caught.value.problems) == sorted(
        f"[{group}] {name}: has a NUL character, which no setting may"
        for group, names in PATHS.items()
        for name in names
    )


@pytest.mark.parametrize(
    "variable",
    [
        *("INDELIBLE_HOME", "INDELIBLE_CACHE", "INDELIBLE_AGENT_STATE_DIRECTORY"),
        *("INDELIBLE_LIFECYCLE_HEADS_FILE", "INDELIBLE_OPENSEARCH_PASSWORD_FILE"),
    ],
)
def test_the_home_of_a_user_that_is_none_is_told(variable: str) -> None:
    with pytest.raises(SettingsError, match=r"there is no user ~nobody-of-that-name$"):
        load({variable: "~nobody-of-that-name/x"})


def started_before(home: Path, *, http_port: int, transport_port: int) -> None:
    """What a node of this home leaves: how it was last started."""
    config = NodeConfig(home / "node", http_port=http_port, transport_port=transport_port)
    record = find_layout(config).record
    record.parent.mkdir(parents=True)
    record.write_bytes(msgspec.json.encode(config, enc_hook=str))


@pytest.fixture
def _shared_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where root's node lies if its user cannot reach the home, as one of a test."""
    monkeypatch.setattr("node.layout.SHARED_STATE", tmp_path / "shared")


@pytest.mark.usefixtures("_shared_place")
@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        pytest.param({}, (9391, 9491), id="those of the node"),
        pytest.param({"INDELIBLE_NODE_HTTP_PORT": "9392"}, (9392, 9350), id="one is set"),
        pytest.param({"INDELIBLE_NODE_TRANSPORT_PORT": "9492"}, (9250, 9492), id="the other is"),
    ],
)
def test_the_ports_are_those_of_the_homes_node_unless_they_are_set(
    tmp_path: Path, environ: dict[str, str], expected: tuple[int, int]
) -> None:
    credentials_file(tmp_path)
    started_before(tmp_path, http_port=9391, transport_port=9491)
    found = load({"INDELIBLE_HOME": str(tmp_path), **environ})
    assert (found.node.http_port, found.node.transport_port) == expected
    assert found.connection.url == f"https://127.0.0.1:{expected[0]}"


@pytest.mark.usefixtures("_shared_place")
def test_the_ports_of_the_file_beat_those_of_the_homes_node(tmp_path: Path) -> None:
    started_before(tmp_path, http_port=9391, transport_port=9491)
    document = tmp_path / "indelible.toml"
    document.write_text("[node]\nhttp_port = 9250\n")
    found = load({"INDELIBLE_HOME": str(tmp_path), "INDELIBLE_CONFIG": str(document)})
    assert found.connection.url == "https://127.0.0.1:9250"


@pytest.mark.usefixtures("_shared_place")
def test_a_torn_record_of_the_node_leaves_the_default(tmp_path: Path) -> None:
    started_before(tmp_path, http_port=9391, transport_port=9491)
    find_layout(NodeConfig(tmp_path / "node")).record.write_text("{")
    assert load({"INDELIBLE_HOME": str(tmp_path)}).connection.url == "https://127.0.0.1:9250"


def test_a_cluster_that_is_named_gets_nothing_of_the_embedded_node(tmp_path: Path) -> None:
    credentials_file(tmp_path)
    document = tmp_path / "indelible.toml"
    document.write_text('[opensearch]\nurl = "https://search.example:9200"\n')
    found = load({"INDELIBLE_HOME": str(tmp_path), "INDELIBLE_CONFIG": str(document)})
    assert not found.embedded
    assert found.connection.url == "https://search.example:9200"
    assert found.connection.writer_username is None
    assert found.index.replicas == 1


def test_replicas_that_are_set_stay_on_the_embedded_node(tmp_path: Path) -> None:
    found = load({"INDELIBLE_HOME": str(tmp_path), "INDELIBLE_INDEX_REPLICAS": "2"})
    assert found.index.replicas == 2


def test_a_role_of_the_users_own_is_kept(tmp_path: Path) -> None:
    credentials_file(tmp_path)
    found = load(
        {
            "INDELIBLE_HOME": str(tmp_path),
            "INDELIBLE_OPENSEARCH_READER_USERNAME": "auditor",
            "INDELIBLE_OPENSEARCH_READER_PASSWORD": "word",
        }
    )
    assert found.connection.reader_username == "auditor"
    assert found.connection.writer_username == "audit_writer"


def test_tokens_are_signed_with_the_homes_secret_unless_a_key_is_set(tmp_path: Path) -> None:
    secret = tmp_path / "web" / "jwt_secret"
    secret.parent.mkdir()
    secret.write_text("s" * 43 + "\n")
    secret.chmod(0o600)
    own = load({"INDELIBLE_HOME": str(tmp_path)}).web
    assert own.jwt_secret is not None
    assert own.jwt_secret.reveal() == "s" * 43
    jwks = "https://id.example/jwks.json"
    other = load({"INDELIBLE_HOME": str(tmp_path), "INDELIBLE_WEB_JWKS_URL": jwks}).web
    assert other.jwt_secret is None


def test_partitions_are_signed_with_the_homes_key_unless_another_is_set(tmp_path: Path) -> None:
    environ = {"INDELIBLE_HOME": str(tmp_path)}
    assert load(environ).lifecycle.signing_key_file is None
    have_signing_key(load(environ))
    directory = tmp_path / "heads"
    key = read_private(directory / "signing_key.pem")
    have_signing_key(load(environ))
    own = load(environ).lifecycle
    assert (own.signing_key_file, own.heads_file) == (
        directory / "signing_key.pem",
        directory / "heads",
    )
    assert read_private(directory / "signing_key.pem").thumbprint() == key.thumbprint()
    elsewhere = load({**environ, "INDELIBLE_LIFECYCLE_HEADS_FILE": "/mnt/heads"}).lifecycle
    assert (elsewhere.signing_key_file, elsewhere.heads_file) == (
        directory / "signing_key.pem",
        Path("/mnt/heads"),
    )
    other = {**environ, "INDELIBLE_LIFECYCLE_SIGNING_KEY_FILE": "/mnt/key.pem"}
    assert load(other).lifecycle.signing_key_file == Path("/mnt/key.pem")
    assert load(other).lifecycle.heads_file is None


def test_a_home_with_a_key_of_its_operator_gets_none_of_its_own(tmp_path: Path) -> None:
    key = {"INDELIBLE_LIFECYCLE_SIGNING_KEY_FILE": "/mnt/key.pem"}
    have_signing_key(load({"INDELIBLE_HOME": str(tmp_path), **key}))
    assert list(tmp_path.iterdir()) == []


def test_no_secret_shows_when_a_configuration_is_printed(tmp_path: Path) -> None:
    credentials_file(tmp_path)
    assert "-password'" not in repr(load({"INDELIBLE_HOME": str(tmp_path)}))

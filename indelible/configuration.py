"""All settings of a process, read once: the environment, the TOML file, and the embedded node.

Where things lie under the home (`INDELIBLE_HOME`):

    node/      the embedded OpenSearch node: its files, data, certificates and passwords
    events/    the lines that applications on this machine write (`*.log`), followed by the agent
    agent/     checkpoint, dead letter and status of the agent
    heads/     the key that signs what is sealed here, and the heads that it signed
    logs/      what the processes that `indelible up` started say
    web/       the secret that signs the tokens of `indelible up`, used links and ended sessions
    example/   the database of the example application
    run/       what `indelible up` runs; locked while it does
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
import platformdirs

from agent.settings import AgentSettings
from audit_events.catalogue import Catalogue
from indelible.home import unusable_home
from indexer.errors import SettingsError
from indexer.settings import ConnectionSettings, IndexSettings, LifecycleSettings, Secret
from indexer.settings_reading import SettingsReading, expand
from webapi.settings import CatalogueSettings, WebSettings, configured_catalogue

if TYPE_CHECKING:
    from node import Credentials, NodeConfig

SYSTEM_HOME: Final = Path("/var/lib/indelible")
"""Where root's data lies: another user runs the node and must reach it, which `/root` forbids."""

ROLES: Final = ("writer", "reader", "lifecycle", "tokens")

PORTS: Final = ("http_port", "transport_port")

Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]


class NodeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Group `node`: the embedded OpenSearch node."""

    http_port: Annotated[Port, msgspec.Meta(description="Port on which it answers HTTPS")] = 9250
    transport_port: Annotated[
        Port, msgspec.Meta(description="Port on which nodes of a cluster talk to each other")
    ] = 9350
    heap_megabytes: Annotated[
        int, msgspec.Meta(ge=256, le=31_744, description="Heap of its Java machine, in MiB")
    ] = 1024


@dataclass(frozen=True, slots=True)
class Configuration:
    """Every setting group of one process; `embedded` says that the cluster is our own node."""

    home: Path
    cache: Path
    connection: ConnectionSettings
    index: IndexSettings
    lifecycle: LifecycleSettings
    agent: AgentSettings
    web: WebSettings
    catalogue_settings: CatalogueSettings
    node_settings: NodeSettings
    embedded: bool

    @property
    def node(self) -> "NodeConfig":
        """The embedded node; imports the extra `node`."""
        return _node_config(self.home, self.cache, self.node_settings)

    @property
    def catalogue(self) -> Catalogue:
        """The actions that are known, ours and those of the file that the settings name.

        Raises:
            CatalogueError: everything that is wrong in it.
        """
        return configured_catalogue(self.catalogue_settings)

    @property
    def jwt_secret_file(self) -> Path:
        """The secret of `indelible up`, which signs tokens where no other key is set."""
        return self.home / "web" / "jwt_secret"

    @property
    def own_signing_key_file(self) -> Path:
        """The key of `indelible up`, which signs what is sealed where no other one is set."""
        return _own_signing_key_file(self.home)


def load(environ: Mapping[str, str] | None = None) -> Configuration:
    """Read all settings, and where no cluster is named, how the embedded node is reached.

    Raises:
        SettingsError: with every problem of every group.
        NodeError: the embedded node's credentials cannot be read.
        ForeignHomeError: nor can anything else of the home.
    """
    environ = os.environ if environ is None else environ
    reading = SettingsReading(environ)
    connection = reading.group("opensearch", ConnectionSettings)
    index = reading.group("index", IndexSettings)
    lifecycle = reading.group("lifecycle", LifecycleSettings)
    agent = reading.group("agent", AgentSettings)
    web = reading.group("web", WebSettings)
    node = reading.group("node", NodeSettings)
    known = reading.group("catalogue", CatalogueSettings)
    if not (connection and index and lifecycle and agent and web and node and known):
        raise reading.error()
    if reading.problems:
        raise reading.error()
    home = home_directory(environ)
    configuration = Configuration(
        home=home,
        cache=cache_directory(environ),
        connection=connection,
        index=index,
        lifecycle=_with_own_key(lifecycle, home),
        agent=_under_home(agent, home),
        web=_web_under_home(web, home),
        catalogue_settings=known,
        node_settings=node,
        embedded=not _sets(environ, reading.document, "opensearch", "url"),
    )
    configuration = _sign_with_own_secret(configuration)
    if not configuration.embedded:
        return configuration
    try:
        if not any(_sets(environ, reading.document, "node", name) for name in PORTS):
            configuration = _on_last_ports(configuration)
        return _reach_embedded(
            configuration, replicas_set=_sets(environ, reading.document, "index", "replicas")
        )
    except (NotADirectoryError, PermissionError) as error:
        raise unusable_home(home, error) from error


def load_catalogue(environ: Mapping[str, str] | None = None) -> Catalogue:
    """Read which actions are known, as `Configuration.catalogue` does, and no other group.

    For commands that need nothing else: they work where no home can be read and no node runs.

    Raises:
        SettingsError: what is wrong with the group, or with the file as a whole.
        CatalogueError: everything that is wrong in the catalogue.
    """
    reading = SettingsReading(os.environ if environ is None else environ)
    known = reading.group("catalogue", CatalogueSettings)
    if known is None or reading.problems:
        raise reading.error()
    return configured_catalogue(known)


def home_directory(environ: Mapping[str, str]) -> Path:
    """Return the directory under which everything of this machine lies.

    Raises:
        SettingsError: it is under the home of a user that is none.
    """
    named = _named_directory("INDELIBLE_HOME", environ)
    if named is not None:
        return named
    if os.geteuid() == 0:
        return SYSTEM_HOME
    return platformdirs.user_data_path("indelible")


def cache_directory(environ: Mapping[str, str]) -> Path:
    """Return where downloaded artifacts are kept for every home of this user.

    Raises:
        SettingsError: as of `home_directory`.
    """
    named = _named_directory("INDELIBLE_CACHE", environ)
    return named or platformdirs.user_cache_path("indelible")


def _named_directory(variable: str, environ: Mapping[str, str]) -> Path | None:
    named = environ.get(variable, "").strip()
    try:
        return expand(named).absolute() if named else None
    except ValueError as error:
        raise SettingsError((f"{variable}: {error}",)) from None


def _sets(
    environ: Mapping[str, str], document: Mapping[str, object], group: str, field: str
) -> bool:
    section = document.get(group)
    if environ.get(f"INDELIBLE_{group.upper()}_{field.upper()}"):
        return True
    return isinstance(section, Mapping) and field in section


def _node_config(home: Path, cache: Path, settings: NodeSettings) -> "NodeConfig":
    from node import NodeConfig  # noqa: PLC0415  # an extra: most installations have no node

    return NodeConfig(
        home=home / "node",
        http_port=settings.http_port,
        transport_port=settings.transport_port,
        heap_megabytes=settings.heap_megabytes,
        cache=cache,
    )


def _under_home(agent: AgentSettings, home: Path) -> AgentSettings:
    return msgspec.structs.replace(
        agent,
        paths=agent.paths or (str(home / "events" / "*.log"),),
        state_directory=agent.state_directory or str(home / "agent"),
    )


def _web_under_home(web: WebSettings, home: Path) -> WebSettings:
    return msgspec.structs.replace(web, state_directory=web.state_directory or home / "web")


def _own_signing_key_file(home: Path) -> Path:
    return home / "heads" / "signing_key.pem"


def _with_own_key(lifecycle: LifecycleSettings, home: Path) -> LifecycleSettings:
    path = _own_signing_key_file(home)
    # One that is there and cannot be read is told by whoever has to sign.
    if lifecycle.signing_key_file is not None or not os.access(path, os.F_OK):
        return lifecycle
    heads_file = lifecycle.heads_file or path.with_name("heads")
    return msgspec.structs.replace(lifecycle, signing_key_file=path, heads_file=heads_file)


def _sign_with_own_secret(configuration: Configuration) -> Configuration:
    web, path = configuration.web, configuration.jwt_secret_file
    if web.jwt_secret is not None or web.jwks_url is not None or not os.access(path, os.R_OK):
        return configuration
    web = msgspec.structs.replace(web, jwt_secret=Secret(path.read_text("utf-8").strip()))
    return replace(configuration, web=web)


def _on_last_ports(configuration: Configuration) -> Configuration:
    """Take the ports that the home's node has: the default's may be somebody else's node."""
    from node import last_config  # noqa: PLC0415  # as in `_node_config`

    try:
        last = last_config(configuration.node)
    except PermissionError:
        # Told by whoever needs the passwords that lie beside it.
        last = None
    if last is None:
        return configuration
    settings = msgspec.structs.replace(
        configuration.node_settings, http_port=last.http_port, transport_port=last.transport_port
    )
    return replace(configuration, node_settings=settings)


def _reach_embedded(configuration: Configuration, *, replicas_set: bool) -> Configuration:
    settings, index = configuration.node_settings, configuration.index
    if not replicas_set:
        # One node cannot hold a copy of its own: a replica would leave every index yellow.
        index = msgspec.structs.replace(index, replicas=0)
    connection = msgspec.structs.replace(
        configuration.connection, url=f"https://127.0.0.1:{settings.http_port}"
    )
    configuration = replace(configuration, index=index, connection=connection)
    from node import credentials  # noqa: PLC0415  # as in `_node_config`
    from node.errors import NodeMissingError  # noqa: PLC0415

    if connection.username is not None:
        return configuration
    try:
        found = credentials(configuration.node)
    except NodeMissingError:
        # Never started yet: whoever needs an answer is told by the connection that is refused.
        return configuration
    return replace(
        configuration,
        connection=_with_users(connection, found),
        lifecycle=_with_archive(_with_admin(configuration.lifecycle, found), configuration),
    )


def _with_users(connection: ConnectionSettings, found: "Credentials") -> ConnectionSettings:
    own: dict[str, object] = {"ca_file": connection.ca_file or found.ca_file}
    for role in ROLES:
        user = f"audit_{role}"
        # A node that an older version started may lack a user until it is started again.
        if getattr(connection, f"{role}_username") is None and user in found.users:
            own[f"{role}_username"] = user
            own[f"{role}_password"] = Secret(found.users[user])
    return msgspec.structs.replace(connection, **own)


def _with_admin(lifecycle: LifecycleSettings, found: "Credentials") -> LifecycleSettings:
    if lifecycle.admin_cert_file is not None:
        return lifecycle
    return msgspec.structs.replace(
        lifecycle, admin_cert_file=found.admin_cert_file, admin_key_file=found.admin_key_file
    )


def _with_archive(lifecycle: LifecycleSettings, configuration: Configuration) -> LifecycleSettings:
    """Keep the archive below the home of the node, the only place where it may write one."""
    from node import archive_directory  # noqa: PLC0415  # as in `_node_config`

    if lifecycle.snapshot_repository is None or lifecycle.archive_path is not None:
        return lifecycle
    path = archive_directory(configuration.node) / lifecycle.snapshot_repository
    return msgspec.structs.replace(lifecycle, archive_path=path)

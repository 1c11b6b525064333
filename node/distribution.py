"""What OpenSearch consists of: which artifacts go where, and how a module describes itself.

Found by trying, see DESIGN.md section 4, "The embedded node". OpenSearch publishes its archive only
on its own site; its parts are on Maven Central, and this puts them together again.
"""

from dataclasses import dataclass

OPENSEARCH_VERSION = "3.4.0"
SECURITY_VERSION = f"{OPENSEARCH_VERSION}.0"
SECURITY_DIRECTORY = "plugins/opensearch-security"


@dataclass(frozen=True, slots=True)
class Part:
    """One directory of the distribution.

    `roots` are `group:artifact:packaging:version`, resolved with their dependencies;
    `alone` are taken without theirs.
    """

    directory: str
    roots: tuple[str, ...] = ()
    alone: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Module:
    """A module of the server as its `plugin-descriptor.properties` presents it."""

    name: str
    classname: str

    def descriptor(self) -> str:
        """Return the text of `plugin-descriptor.properties`."""
        lines = {
            "name": self.name,
            "description": f"OpenSearch module {self.name}",
            "version": OPENSEARCH_VERSION,
            "opensearch.version": OPENSEARCH_VERSION,
            "java.version": "21",
            "classname": self.classname,
            "extended.plugins": "",
            "has.native.controller": "false",
        }
        return "".join(f"{key}={value}\n" for key, value in lines.items())


def _opensearch(artifact: str) -> str:
    return f"org.opensearch:{artifact}:jar:{OPENSEARCH_VERSION}"


def _module_client(artifact: str) -> str:
    return f"org.opensearch.plugin:{artifact}-client:jar:{OPENSEARCH_VERSION}"


LIBRARY = Part(
    "lib",
    roots=(
        _opensearch("opensearch"),
        _opensearch("opensearch-plugin-classloader"),
    ),
    # Optional in the server's POM, yet it does not start without. Not among the roots: the versions
    # that log4j's own POM manages would win over the server's (an older Jackson).
    alone=("org.apache.logging.log4j:log4j-core:jar:2.21.0",),
)

PARTS = (
    LIBRARY,
    Part("agent", roots=(_opensearch("opensearch-agent"),)),
    Part("modules/transport-netty4", roots=(_module_client("transport-netty4"),)),
    Part("modules/reindex", roots=(_module_client("reindex"),)),
    Part("modules/mapper-extras", roots=(_module_client("mapper-extras"),)),
    Part(
        SECURITY_DIRECTORY,
        alone=(
            f"org.opensearch.plugin:opensearch-security:zip:{SECURITY_VERSION}",
            # The zip lacks it: without it every index and search request gets 500.
            "org.apache.commons:commons-collections4:jar:4.4",
        ),
    ),
)

MODULES = (
    Module("transport-netty4", "org.opensearch.transport.Netty4ModulePlugin"),
    Module("reindex", "org.opensearch.index.reindex.ReindexModulePlugin"),
    Module("mapper-extras", "org.opensearch.index.mapper.MapperExtrasModulePlugin"),
)

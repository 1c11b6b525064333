"""What OpenSearch consists of: which artifacts go where, and how a module describes itself.

Found by trying. OpenSearch publishes its archive only on its own site; its parts are on Maven
Central, and this puts them together again.
"""

from dataclasses import dataclass

OPENSEARCH_VERSION = "3.4.0"
LIBRARY_DIRECTORY = "lib"
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

    def descriptor(self, version: str) -> str:
        """Return the text of `plugin-descriptor.properties` for a version of OpenSearch."""
        lines = {
            "name": self.name,
            "description": f"OpenSearch module {self.name}",
            "version": version,
            "opensearch.version": version,
            "java.version": "21",
            "classname": self.classname,
            "extended.plugins": "",
            "has.native.controller": "false",
        }
        return "".join(f"{key}={value}\n" for key, value in lines.items())


MODULES = (
    Module("transport-netty4", "org.opensearch.transport.Netty4ModulePlugin"),
    Module("reindex", "org.opensearch.index.reindex.ReindexModulePlugin"),
    Module("mapper-extras", "org.opensearch.index.mapper.MapperExtrasModulePlugin"),
)


@dataclass(frozen=True, slots=True)
class Distribution:
    """One version of OpenSearch, with the versions of what its own POM leaves out."""

    version: str
    log4j: str
    security: str

    @property
    def lock(self) -> str:
        """The file in this package that pins its artifacts."""
        return (
            "artifacts.lock"
            if self.version == OPENSEARCH_VERSION
            else f"artifacts-{self.version}.lock"
        )

    @property
    def library(self) -> Part:
        """What every module finds there and must not bring again."""
        return Part(
            LIBRARY_DIRECTORY,
            roots=(
                self._opensearch("opensearch"),
                self._opensearch("opensearch-plugin-classloader"),
            ),
            # Optional in the server's POM, yet it does not start without. Not among the roots: the
            # versions that log4j's own POM manages would win over the server's (an older Jackson).
            alone=(f"org.apache.logging.log4j:log4j-core:jar:{self.log4j}",),
        )

    @property
    def parts(self) -> tuple[Part, ...]:
        """All of it."""
        return (
            self.library,
            Part("agent", roots=(self._opensearch("opensearch-agent"),)),
            *(
                Part(f"modules/{module.name}", roots=(self._module_client(module.name),))
                for module in MODULES
            ),
            Part(
                SECURITY_DIRECTORY,
                alone=(
                    f"org.opensearch.plugin:opensearch-security:zip:{self.security}",
                    # The zip lacks it: without it every index and search request gets 500.
                    "org.apache.commons:commons-collections4:jar:4.4",
                ),
            ),
        )

    def _opensearch(self, artifact: str) -> str:
        return f"org.opensearch:{artifact}:jar:{self.version}"

    def _module_client(self, module: str) -> str:
        return f"org.opensearch.plugin:{module}-client:jar:{self.version}"


DISTRIBUTIONS = {
    one.version: one
    for one in (
        Distribution(OPENSEARCH_VERSION, log4j="2.21.0", security="3.4.0.0"),
        # For the tests of compatibility. The security plugin is on Maven Central as 3.4.0.0 alone;
        # that one runs on 3.8.0 as well once its descriptor names that version (tried).
        Distribution("3.8.0", log4j="2.25.4", security="3.4.0.0"),
    )
}

"""One index as the cluster has it now, by its own name and by no alias of it."""

from msgspec import Struct
from opensearchpy import OpenSearch

from indexer.client import request_shape
from indexer.errors import AliasError


class LiveIndex(Struct, frozen=True):
    """What an index says of itself."""

    settings: dict[str, object]
    """By their flat names."""
    mappings: dict[str, object]

    @property
    def uuid(self) -> str:
        """What no other index ever has, of the same name either."""
        return str(self.settings["index.uuid"])

    @property
    def is_sealed(self) -> bool:
        """Whether it takes no write at all."""
        return self.settings.get("index.blocks.write") == "true"

    @property
    def is_write_once(self) -> bool:
        """Whether it is sealed, and would only take new events without that."""
        return self.is_sealed and self.settings.get("index.append_only.enabled") == "true"


def find_index(client: OpenSearch, name: str) -> LiveIndex | None:
    """The index of this name, None where there is none.

    Raises:
        AliasError: it is an alias.
        RefusedError, NoAnswerError: see `indexer.client.request`.
    """
    params = {"flat_settings": "true", "expand_wildcards": "none"}
    found = request_shape(client, "GET", f"/{name}", dict[str, LiveIndex], params=params)
    if not found:
        return None
    if name not in found:
        raise AliasError(name, found)
    return found[name]

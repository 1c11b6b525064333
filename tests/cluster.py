"""The cluster that the tests of one session use, and how to act on it in each role."""

import secrets
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from opensearchpy import OpenSearch

from indexer.client import Role, ask, connect
from indexer.settings import ConnectionSettings, IndexSettings, Secret
from indexer.templates import install
from node import Credentials


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster with the users of this project; `origin` says where it comes from."""

    origin: str
    url: str
    credentials: Credentials

    @property
    def ca_file(self) -> Path:
        return self.credentials.ca_file

    @property
    def secured(self) -> bool:
        """Whether it has the security plugin, and so TLS, users, roles and immutable indices."""
        return self.url.startswith("https:")

    def connection(self) -> ConnectionSettings:
        """Settings with a user of its own for each role; without users where nobody asks."""
        if not self.secured:
            return ConnectionSettings(url=self.url)
        users = self.credentials.users
        return ConnectionSettings(
            url=self.url,
            ca_file=self.ca_file,
            writer_username="audit_writer",
            writer_password=Secret(users["audit_writer"]),
            reader_username="audit_reader",
            reader_password=Secret(users["audit_reader"]),
            lifecycle_username="audit_lifecycle",
            lifecycle_password=Secret(users["audit_lifecycle"]),
            tokens_username="audit_tokens",
            tokens_password=Secret(users["audit_tokens"]),
        )

    def client(self, role: Role) -> OpenSearch:
        return connect(self.connection(), role=role)

    @contextmanager
    def own_prefix(self) -> Generator[IndexSettings]:
        """Give a prefix with its templates; all that is below it is removed at the end."""
        settings = IndexSettings(prefix=f"audit-t{secrets.token_hex(6)}", replicas=0)
        with self.client("lifecycle") as lifecycle:
            install(lifecycle, settings)
        try:
            yield settings
        finally:
            with self.admin() as admin:
                # By name: the node refuses to delete by wildcard.
                below = f"{settings.prefix}-*,indelible-{settings.prefix}-*"
                for name in admin.indices.get(index=below, expand_wildcards="all"):
                    admin.indices.delete(index=name)
                # Whatever the answer: a test may have removed them itself.
                ask(admin, "DELETE", f"/_index_template/{settings.prefix}-*")

    def admin(self) -> OpenSearch:
        """Act with the admin certificate, which alone may delete an immutable index."""
        if not self.secured:
            return self.client("lifecycle")
        settings = ConnectionSettings(
            url=self.url,
            ca_file=self.ca_file,
            client_cert_file=self.credentials.admin_cert_file,
            client_key_file=self.credentials.admin_key_file,
        )
        return connect(settings, role="lifecycle")

"""What is signed and answered proves an export, also when its partition is gone."""

import msgspec
import pytest

from audit_events.chain import encode_hash
from indexer.head import OrganizationHeads, check, is_proven
from indexer.names import journal_name
from indexer.settings import IndexSettings
from indexer.tree import Tree
from tests.cluster import Cluster
from tests.lifecycle_world import DELETABLE, SEALABLE, World
from tests.webapi_api import Api, token
from webapi.audit_log import PATH


@pytest.mark.opensearch
def test_an_export_has_the_root_that_its_head_vouches_for(
    opensearch: Cluster, index: IndexSettings
) -> None:
    world = World(opensearch, index)
    key = world.use_key()
    world.fill()
    with opensearch.admin() as admin:
        admin.indices.refresh(index=world.partition)
    api = Api(opensearch.client("reader"), world.index)
    exported = {
        organization: api.get(path=f"{PATH}/export", bearer=token(organization)).data.splitlines()
        for organization in ("org_1", "org_2", "org_3")
    }
    world.now = SEALABLE
    assert world.take_round().problems == ()
    found = {organization: heads_of(world, api, organization) for organization in exported}
    for organization, (*lines, _) in exported.items():
        (one,) = found[organization].heads
        head = check(one.head, [key])
        assert (head.partition, head.number) == (world.partition, 1)
        if organization == "org_3":
            assert (one.share, lines) == (None, [])
            continue
        tree = Tree()
        tree.add(lines)
        assert one.share is not None
        assert (one.share.events, one.share.root) == (len(lines), encode_hash(tree.root()))
        assert is_proven(head, organization, one.share)
    world.now = DELETABLE
    assert world.take_round().problems == ()
    assert not opensearch.client("reader").indices.exists(index=world.partition)
    assert {one: heads_of(world, api, one) for one in exported} == found


def heads_of(world: World, api: Api, organization: str) -> OrganizationHeads:
    with world.cluster.admin() as admin:
        admin.indices.refresh(index=journal_name(world.index))
    answer = api.get(path=f"{PATH}/heads", bearer=token(organization))
    return msgspec.json.decode(answer.data, type=OrganizationHeads)

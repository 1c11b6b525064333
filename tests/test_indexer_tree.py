"""Merkle trees against their definition (RFC 9162), and proofs against forgeries of one hash."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.tree import EMPTY_ROOT, Tree, inclusion_path, leaf_hash, node_hash, root_of, rows_of

LEAVES = st.lists(st.binary(max_size=3), min_size=1, max_size=40)


def defined_root(leaves: list[bytes]) -> bytes:
    """The definition, word for word (2.1.1)."""
    if len(leaves) == 1:
        return sha256(b"\x00" + leaves[0]).digest()
    half = 1
    while half * 2 < len(leaves):
        half *= 2
    left, right = defined_root(leaves[:half]), defined_root(leaves[half:])
    return sha256(b"\x01" + left + right).digest()


def grown(leaves: list[bytes]) -> Tree:
    tree = Tree()
    tree.add(leaves)
    return tree


def test_a_tree_of_nothing_is_the_hash_of_nothing() -> None:
    assert Tree().root() == EMPTY_ROOT == sha256().digest()


@given(LEAVES, st.integers(0, 40))
def test_a_tree_has_the_root_of_its_definition_however_it_is_fed(
    leaves: list[bytes], cut: int
) -> None:
    tree = grown(leaves[:cut])
    tree.add(leaves[cut:])
    assert (tree.size, tree.root()) == (len(leaves), defined_root(leaves))


@given(LEAVES, st.data())
def test_the_path_of_each_leaf_leads_to_the_root(leaves: list[bytes], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(leaves) - 1))
    hashes = [leaf_hash(leaf) for leaf in leaves]
    path = inclusion_path(rows_of(hashes), index)
    assert root_of(hashes[index], index, len(leaves), path) == defined_root(leaves)


@given(LEAVES, st.data())
def test_no_other_leaf_place_size_or_path_leads_to_it(
    leaves: list[bytes], data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, len(leaves) - 1))
    hashes = [leaf_hash(leaf) for leaf in leaves]
    path, size, root = inclusion_path(rows_of(hashes), index), len(leaves), defined_root(leaves)
    assert root_of(leaf_hash(b"another"), index, size, path) != root
    assert root_of(hashes[index], index, size, [*path, EMPTY_ROOT]) != root
    assert root_of(hashes[index], size, size, path) is None
    assert root_of(hashes[index], -1, size, path) is None
    for at in range(len(path)):
        altered = [*path[:at], node_hash(path[at], path[at]), *path[at + 1 :]]
        assert root_of(hashes[index], index, size, altered) != root
        assert root_of(hashes[index], index, size, path[:at]) != root


@pytest.mark.parametrize("index", [0, 1, 2])
def test_a_place_that_is_not_the_leafs_own_is_refused(index: int) -> None:
    hashes = [leaf_hash(leaf) for leaf in (b"a", b"b", b"c")]
    path = inclusion_path(rows_of(hashes), index)
    for other in {0, 1, 2} - {index}:
        assert root_of(hashes[index], other, 3, path) != grown([b"a", b"b", b"c"]).root()

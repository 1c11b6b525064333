"""Which directory an artifact goes to, when several parts need it."""

from node.distribution import LIBRARY_DIRECTORY, Part
from node.lock import place

LIBRARY = Part(LIBRARY_DIRECTORY)
MODULE = Part("modules/one")
OTHER = Part("modules/two")


def test_a_jar_of_the_library_is_not_brought_again_by_a_module() -> None:
    assert place([(LIBRARY, ["a", "b"]), (MODULE, ["b", "c"])]) == {
        "a": ["lib"],
        "b": ["lib"],
        "c": ["modules/one"],
    }


def test_two_modules_each_have_their_own() -> None:
    assert place([(LIBRARY, []), (MODULE, ["c"]), (OTHER, ["c"])]) == {
        "c": ["modules/one", "modules/two"]
    }


def test_jars_that_differ_in_their_classifier_alone_are_placed_once() -> None:
    assert place([(LIBRARY, []), (MODULE, ["c", "c"])]) == {"c": ["modules/one"]}

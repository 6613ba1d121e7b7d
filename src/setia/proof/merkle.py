"""Merkle trees as RFC 6962 section 2.1 and RFC 9162 define them: roots, inclusion and consistency. Pure.

A tree is read through `Node`: a function that gives the hash of the perfect subtree of height h with a number, so that
a proof needs only the few nodes on its way (C2SP tlog-tiles keeps them in rows of 256).
"""

import hashlib
from collections.abc import Callable, Sequence

Node = Callable[[int, int], bytes]  # height, number → hash of leaves [number·2^h, (number+1)·2^h)
EMPTY = hashlib.sha256(b"").digest()


def leaf_hash(content: bytes) -> bytes:
    """The hash of a leaf: SHA-256 over 0x00 and its content."""
    return hashlib.sha256(b"\x00" + content).digest()


def join(left: bytes, right: bytes) -> bytes:
    """The hash of a node: SHA-256 over 0x01 and its children."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def over(leaves: Sequence[bytes]) -> Node:
    """A tree held in memory, from its leaf hashes."""

    def node(height: int, number: int) -> bytes:
        if not height:
            return leaves[number]
        return join(node(height - 1, 2 * number), node(height - 1, 2 * number + 1))

    return node


def kept(leaves: Sequence[bytes]) -> Node:
    """A tree held in memory whose nodes are worked out once, for many proofs."""
    levels = [list(leaves)]
    while len(levels[-1]) > 1:
        below = levels[-1]
        levels.append([join(below[i], below[i + 1]) for i in range(0, len(below) - 1, 2)])
    return lambda height, number: levels[height][number]


def _split(size: int) -> int:
    """The largest power of two smaller than a size."""
    return 1 << (size - 1).bit_length() - 1


def root(node: Node, low: int, high: int) -> bytes:
    """The hash over leaves [low, high), as RFC 6962 defines it for any size."""
    size = high - low
    if not size:
        return EMPTY
    if size & (size - 1) == 0 and low % size == 0:
        return node(size.bit_length() - 1, low // size)
    k = _split(size)
    return join(root(node, low, low + k), root(node, low + k, high))


def inclusion(node: Node, index: int, size: int) -> list[bytes]:
    """The hashes that prove a leaf to be in a tree, from its sibling up (RFC 6962 section 2.1.1)."""
    assert 0 <= index < size
    low, high, path = 0, size, []
    while high - low > 1:
        k = low + _split(high - low)
        if index < k:
            path.append(root(node, k, high))
            high = k
        else:
            path.append(root(node, low, k))
            low = k
    return path[::-1]


def included(leaf: bytes, index: int, size: int, path: Sequence[bytes], expected: bytes) -> bool:
    """Whether a path proves a leaf hash at an index of the tree with this size and root (RFC 9162 section 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    place, last, found = index, size - 1, leaf
    for step in path:
        if not last:
            return False
        if place & 1 or place == last:
            found = join(step, found)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            found = join(found, step)
        place, last = place >> 1, last >> 1
    return not last and found == expected


def consistency(node: Node, old: int, new: int) -> list[bytes]:
    """The hashes that prove a tree to be the beginning of another (RFC 6962 section 2.1.2)."""
    assert 0 < old <= new
    return _subproof(node, old, 0, new, True)


def _subproof(node: Node, old: int, low: int, high: int, whole: bool) -> list[bytes]:
    size = high - low
    if old == size:
        return [] if whole else [root(node, low, high)]
    k = _split(size)
    if old <= k:
        return [*_subproof(node, old, low, low + k, whole), root(node, low + k, high)]
    return [*_subproof(node, old - k, low + k, high, False), root(node, low, low + k)]


def consistent(old: int, old_root: bytes, new: int, new_root: bytes, path: Sequence[bytes]) -> bool:
    """Whether a path proves the first tree to be the beginning of the second (RFC 9162 section 2.1.4.2)."""
    if not 0 < old <= new:
        return False
    if old == new:
        return not path and old_root == new_root
    steps = list(path)
    if old & (old - 1) == 0:
        steps.insert(0, old_root)
    if not steps:
        return False
    place, last = old - 1, new - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    first = second = steps[0]
    for step in steps[1:]:
        if not last:
            return False
        if place & 1 or place == last:
            first, second = join(step, first), join(step, second)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            second = join(second, step)
        place, last = place >> 1, last >> 1
    return not last and first == old_root and second == new_root

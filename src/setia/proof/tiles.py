"""The tree in rows of 256 hashes (C2SP tlog-tiles), read for proofs and grown by new leaves."""

from collections.abc import Callable, Sequence
from uuid import UUID

from setia.proof import merkle
from setia.proof.models import Tile

WIDTH, HEIGHT = 256, 8


def reader(program: UUID) -> merkle.Node:
    """The tree of a programme's log, each tile read once."""
    known: dict[tuple[int, int], bytes] = {}

    def tile(level: int, number: int) -> bytes:
        if (level, number) not in known:
            row = Tile.objects.filter(program_id=program, level=level, number=number).first()
            known[level, number] = bytes(row.hashes) if row else b""
        return known[level, number]

    return _tree(tile)


def _tree(tile: Callable[[int, int], bytes]) -> merkle.Node:
    def node(height: int, number: int) -> bytes:
        level, above = divmod(height, HEIGHT)
        width = 1 << above
        first = number * width
        row = tile(level, first // WIDTH)
        place = first % WIDTH
        hashes = [row[32 * i : 32 * i + 32] for i in range(place, place + width)]
        if len(hashes[-1]) != 32:
            raise LookupError(f"tile {level}/{first // WIDTH} is short")
        while len(hashes) > 1:
            hashes = [merkle.join(a, b) for a, b in zip(hashes[::2], hashes[1::2], strict=True)]
        return hashes[0]

    return node


def root(node: merkle.Node, size: int) -> bytes | None:
    """The root of a tree of some size; None where a tile of it is missing or short."""
    try:
        return merkle.root(node, 0, size)
    except LookupError:
        return None


def grow(program: UUID, size: int, fresh: Sequence[bytes]) -> None:
    """Put new leaf hashes behind a tree of some size. Inside the transaction that notes the leaves."""
    level, start, hashes = 0, size, list(fresh)
    while hashes:
        start, hashes = _row(program, level, start, hashes)
        level += 1


def _row(program: UUID, level: int, start: int, hashes: Sequence[bytes]) -> tuple[int, list[bytes]]:
    """Fill up a level's tiles; the hashes of those that are full now, and where they go one level up."""
    first = start // WIDTH
    old = Tile.objects.filter(program_id=program, level=level, number=first).first()
    joined = (bytes(old.hashes) if old else b"") + b"".join(hashes)
    rows, above = [], []
    for number, place in enumerate(range(0, len(joined), 32 * WIDTH), first):
        row = joined[place : place + 32 * WIDTH]
        rows.append(Tile(program_id=program, level=level, number=number, hashes=row))
        if len(row) == 32 * WIDTH:
            above.append(full(row))
    Tile.objects.bulk_create(
        rows,
        batch_size=500,
        update_conflicts=True,
        unique_fields=["program_id", "level", "number"],
        update_fields=["hashes"],
    )
    return first, above


def full(row: bytes) -> bytes:
    """The hash over a whole tile."""
    hashes = [row[i : i + 32] for i in range(0, len(row), 32)]
    while len(hashes) > 1:
        hashes = [merkle.join(a, b) for a, b in zip(hashes[::2], hashes[1::2], strict=True)]
    return hashes[0]

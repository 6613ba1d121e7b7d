"""Limits that members share: how what is used of one is parted into slices, so that nobody waits for one row. Pure.

Each slice has a part of the most; together they have all of it, whoever takes from which. A slice that has more than its
part, since a later version lowered the most, is paid for by the others.
"""

from collections.abc import Iterator, Mapping

SLICES = 8
NO_MOST = 1 << 61  # what a correction must book is never refused


def parts(used: Mapping[int, int], most: int) -> list[int]:
    """How much each slice may come to."""
    found = [most * (place + 1) // SLICES - most * place // SLICES for place in range(SLICES)]
    over = 0
    for place in range(SLICES):
        more = max(0, used.get(place, 0) - found[place])
        found[place] += more
        over += more
    for place in range(SLICES):
        less = min(over, found[place] - used.get(place, 0))
        found[place] -= less
        over -= less
    return found


def take(used: Mapping[int, int], most: int, first: int, amount: int) -> Iterator[tuple[int, int, int]]:
    """From which slices an amount is taken, `first` before the others: slice, how much, and the most of that slice."""
    of = parts(used, most)
    for turn in range(SLICES):
        place = (first + turn) % SLICES
        some = min(amount, of[place] - used.get(place, 0))
        if some > 0:
            amount -= some
            yield place, some, of[place]
    assert not amount, "whoever takes has seen that there is room"

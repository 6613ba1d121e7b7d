"""proof_check: what checking the proof of one entry in a log of a million costs, and how long the proof is."""

import hashlib
import time as clock

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bench.report import median, tell

LEAVES, TIMES = 1_000_000, 400
AT_MOST_MS, AT_MOST_BYTES = 1, 1024


def proof_check() -> None:
    """A million leaves in memory; proofs from all over the log, each checked with the signature of its head."""
    from setia.proof import merkle, notes

    content = b'{"v":1,"amount":12}'
    rows = [[merkle.leaf_hash(b"%s%d" % (content, i)) for i in range(LEAVES)]]
    while len(rows[-1]) > 1:
        below = rows[-1]
        rows.append([merkle.join(a, b) for a, b in zip(below[::2], below[1::2], strict=False)])

    def node(height: int, number: int) -> bytes:
        return rows[height][number]

    origin = "setia/019ab7c0-0000-7000-8000-000000000000"
    private = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"bench").digest())
    key = notes.verifier_key(origin, private.public_key().public_bytes_raw())
    note = notes.sign(notes.Checkpoint(origin, LEAVES, merkle.root(node, 0, LEAVES)), private)
    times, sizes = [], []
    for i in range(TIMES):
        index = i * (LEAVES // TIMES) + i
        path = merkle.inclusion(node, index, LEAVES)
        text = notes.write_proof(index, path, note, b"%s%d" % (content, index))
        before = clock.perf_counter()
        notes.check_proof(text, key)
        times.append((clock.perf_counter() - before) * 1e3)
        sizes.append(len(text.partition("\n\n")[0].encode()) - len(text.splitlines()[1]))
    tell(
        "proof_check",
        median(times),
        "ms",
        tried=TIMES,
        at_most=AT_MOST_MS,
        bytes=max(sizes),
        bytes_with_checkpoint=max(sizes) + len(note.encode()),
        at_most_bytes=AT_MOST_BYTES,
        leaves=LEAVES,
    )

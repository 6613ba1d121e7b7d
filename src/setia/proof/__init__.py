"""The verifiable record: a Merkle log over the journal, sequenced after commit, with receipts anybody can check.

It owns the log, its signer and its proofs. It proves that the record did not change since it was signed; it does not
prove that what a till told was true. It never writes into the journal.
"""

"""What status means: how it is earned, kept and lost. A tier is an unexpired unit of `tier/<name>` in the journal.

It owns the ladder section of the rule document, the tier facts and the review. It stores nothing of its own.
"""

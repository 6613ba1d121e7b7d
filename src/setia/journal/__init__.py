"""What was given, taken and asked, written once: entries, their postings, and balances and lots as caches of them.

It knows that and how much, never what a thing is. Entries and postings are never changed or deleted: the database
refuses. It decides nothing; `engine` does.
"""

"""The merchant's rules: a document, drafted, checked, published as a version, compiled into a book.

A published version never changes and is never deleted; a change is a new version, and so is going back. It decides
nothing: that is the engine's.
"""

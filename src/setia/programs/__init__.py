"""The merchant's rules: a document, checked, published as a version, compiled into a book.

A published version never changes and is never deleted; a change is a new version. It evaluates nothing.
"""

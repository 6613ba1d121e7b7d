"""People: how to reach them, who they are elsewhere, what they agreed to.

It owns personal data, all of it, so that erasing a person is emptying rows here. It never holds a point: the journal
knows a member by an opaque id only.
"""

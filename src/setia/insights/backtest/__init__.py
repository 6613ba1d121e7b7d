"""What a programme would have done: a whole rule book over millions of past sales.

`sales` is the history as columns, `outcome` what came of it, `run` the way from one to the other.
"""

"""The pure core: facts in, effects out.

It owns the language of rules (nodes), the vocabulary they speak (facts, kinds of event), folded facts and `decide`.
It has no clock (`facts["at"]` is the only now), no randomness, no database and no settings; numbers are whole.
Each node has `row`, for one event; `column`, for a frame of millions, takes its place beside it.
"""

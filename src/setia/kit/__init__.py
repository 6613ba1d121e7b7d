"""Money, time, ids, refusals, texts and the Feature type: plain Python that every floor may use.

It imports no framework, opens no file but its own texts and knows nothing of loyalty.
"""

"""The one road in: `accept` an event, `preview` it, `accept_many` of them.

It owns what happened and that it happened once. It decides nothing (`engine`) and keeps no balances (`journal`).
"""

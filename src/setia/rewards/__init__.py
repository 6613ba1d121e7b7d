"""Rewards: the catalogue as part of the programme's text, redeeming, vouchers, stamp cards.

It owns what a reward is and what its voucher does. Who holds how many of which, and which is used, the journal knows.
"""

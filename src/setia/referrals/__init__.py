"""Who brought whom: codes, attribution once at joining, rewards for both sides, and signals of self-dealing.

It owns the section `referrals` of the rule document. It gives nothing itself: each reward is an event on the one road, and
whether a purchase stands is read from the record.
"""

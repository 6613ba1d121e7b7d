"""The pure decisions of referrals: the document's section as rules, and when a referral is due."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from setia.engine import nodes
from setia.engine.decide import Limit, Rule
from setia.engine.language import LARGEST_GIFT, Reader, nearest
from setia.kit import money, texts

REFERRALS = "referrals"
REWARDED, WELCOMED = "referral.rewarded", "referral.welcomed"  # the referrer gets theirs, the friend theirs
GIFT = "referral.gift"  # the built-in rule of what a named code gives
SIDES = {"referrer": REWARDED, "friend": WELCOMED}
LONGEST = 366  # days
MOST_A_MONTH = 10_000

# How far a referral has come. The first three may still go on; staff decide about what is held.
JOINED, BOUGHT, HELD = "joined", "bought", "held"
GIVEN, EXPIRED, REFUSED, VOID, TAKEN_BACK = "rewarded", "expired", "refused", "void", "taken_back"
OPEN = (JOINED, BOUGHT, HELD)
STATES = (*OPEN, GIVEN, EXPIRED, REFUSED, VOID, TAKEN_BACK)


@dataclass(frozen=True, slots=True)
class Policy:
    """What the section says beside its rules: which purchase counts, how long it must stand, and the most a month.

    `rewards` is by side and asset. `life` is how many months and days each asset of the programme is good for, `events`
    the kinds its rules fire on.
    """

    minimum: int
    within_days: int
    wait_days: int
    at_most: int
    rewards: Mapping[str, Mapping[str, int]]
    life: Mapping[str, tuple[int | None, int]]
    events: tuple[str, ...] = (REWARDED, WELCOMED)

    def counts(self, joined: datetime, at: datetime, net: int) -> bool:
        """Whether a purchase of so much, as it stands now, is one that counts."""
        return net >= max(self.minimum, 1) and at <= joined + timedelta(days=self.within_days)

    def due(self, at: datetime) -> datetime:
        """When a purchase has outlived the return window."""
        return at + timedelta(days=self.wait_days)

    def over(self, joined: datetime) -> datetime:
        """After this no purchase is waited for; one that is told late still has the return window's time."""
        return self.due(joined + timedelta(days=self.within_days))

    @property
    def longest(self) -> timedelta:
        """How long after joining a referral can still be judged for the first time."""
        return timedelta(days=self.within_days + self.wait_days + 1)  # and a day for the worker to come by

    def terms(self, lang: str) -> Iterator[str]:
        """What members read of it, beside the rewards themselves."""
        yield texts.say("referral.terms.counts", lang, minimum=self.minimum, n=self.within_days)
        if self.wait_days:
            yield texts.say("referral.terms.wait", lang, n=self.wait_days)
        yield texts.say("referral.terms.most", lang, n=self.at_most)
        yield texts.say("referral.terms.back", lang)
        yield texts.say("referral.terms.fair", lang)
        yield texts.say("referral.terms.kept", lang)


def section(reader: Reader, thing: Any) -> tuple[list[Rule], Mapping[str, Any]]:
    """The document's `referrals:` as rules on the two events, and the policy that says when they are told."""
    keys = ["qualify", "wait", "rewards", "at_most"]
    thing = reader.mapping(REFERRALS, thing, keys, ["qualify", "rewards"])
    path = f"{REFERRALS}.qualify"
    qualify = reader.mapping(path, thing.get("qualify", {}), ["minimum", "within"], ["minimum"])
    minimum = reader.number(f"{path}.minimum", qualify.get("minimum", 1), 1, money.LARGEST)
    within = reader.days(f"{path}.within", qualify.get("within", "30 days"), LONGEST)
    wait = reader.days(f"{REFERRALS}.wait", thing.get("wait", "14 days"), LONGEST)
    most = reader.number(f"{REFERRALS}.at_most", thing.get("at_most", 10), 1, MOST_A_MONTH)
    rewards = _rewards(reader, thing.get("rewards", {}))
    rules = [
        _rule(reader, side, asset, amount, most)
        for side, each in rewards.items()
        for asset, amount in each.items()
    ]
    life = {asset: (months, reader.life.get(asset, 0)) for asset, months in reader.expire.items()}
    return rules, {REFERRALS: Policy(minimum, within, wait, most, rewards, life)}


def _rewards(reader: Reader, thing: Any) -> dict[str, dict[str, int]]:
    path = f"{REFERRALS}.rewards"
    thing = reader.mapping(path, thing, list(SIDES))
    if not thing:
        reader.wrong(path, "empty_list")
    found: dict[str, dict[str, int]] = {}
    for side in SIDES:
        each = reader.mapping(f"{path}.{side}", thing[side], list(reader.expire)) if side in thing else {}
        found[side] = {
            asset: reader.number(f"{path}.{side}.{asset}", amount, 1, LARGEST_GIFT)
            for asset, amount in each.items()
            if asset in reader.expire
        }
    return found


def _rule(reader: Reader, side: str, asset: str, amount: int, most: int) -> Rule:
    """A side's reward of one asset. The referrer gets it so many times in a calendar month at most."""
    limits = (Limit("month", most, count="times"),) if side == "referrer" else ()
    return Rule(
        f"referral.{side}.{asset.replace('/', '.')}",
        {lang: texts.say(f"referral.rule.{side}", lang) for lang in texts.LANGUAGES},
        (SIDES[side],),
        nodes.ALWAYS,
        "earn",
        asset,
        nodes.Const(amount),
        reader.expire.get(asset),
        limits=limits,
        grace_days=reader.life.get(asset, 0),
    )


def gift(thing: Mapping[str, int], assets: Mapping[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """What is wrong with the own reward of a named code, as a problem's code and what fills it; None when nothing is."""
    for asset, amount in thing.items():
        if asset not in assets:
            return "unknown_asset", {"name": asset, **nearest(asset, assets)}
        if not 1 <= amount <= LARGEST_GIFT:
            return "out_of_bounds", {"value": amount, "low": 1, "high": LARGEST_GIFT}
    return None

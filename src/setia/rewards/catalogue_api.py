"""The API of reading the catalogue: what there is, what a member can have and has, and what partners are owed."""

import re
from typing import Any

from setia.kit import texts, time
from setia.kit.refusals import NotFound, Refusal
from setia.members import service as members
from setia.programs import service as programs
from setia.rewards import pictures, rules, service, settling
from setia.rewards.redeeming_api import shown as voucher
from setia.rewards.types import Reward
from setia.tenancy.types import Programme
from setia.web.api import Call, Route

_MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])")


def shown(programme: Programme, reward: Reward, left: int | None) -> dict[str, Any]:
    """A reward as the API shows it."""
    price: dict[str, int] = {reward.price[0]: reward.price[1]} if reward.price else {}
    price |= {"rupiah": reward.rupiah} if reward.rupiah else {}
    return {
        "reward": reward.name,
        "name": dict(reward.label),
        "kind": reward.kind,
        "price": price,
        "left": left,
        "outlets": list(reward.outlets),
        "tiers": list(reward.tiers),
        "terms": dict(reward.terms) if reward.terms else None,
        "picture": pictures.address(programme, reward.picture),
        "alt": dict(reward.alt) if reward.alt else None,
        "partner": reward.partner or None,
    }


def listed(call: Call) -> tuple[int, Any]:
    """The rewards that can be redeemed by the rules in force, with how many are left where there is an end of it."""
    programme = call.caller.programme
    found = service.catalogue(programme)
    left = service.stock(programme, found)
    return 200, {"data": [shown(programme, each, left.get(each.name)) for each in found]}


def one(call: Call) -> tuple[int, Any]:
    """One reward of the catalogue, those that are only given too."""
    programme, name = call.caller.programme, call.path["id"]
    found = rules.rewards(programs.book(programme.id, programme.now())).get(name)
    if found is None:
        raise NotFound("reward", name[:48])
    return 200, shown(programme, found, service.stock(programme, [found]).get(name))


def choices(call: Call) -> tuple[int, Any]:
    """Every reward beside what a member has: whether they can have it now, how many units more it takes, or why not."""
    programme = call.caller.programme
    person = members.by_public_id(programme.id, call.path["id"])
    found = service.choices(programme, person, call.query.get("outlet"))
    return 200, {"data": [_choice(programme, each) for each in found]}


def _choice(programme: Programme, each: service.Choice) -> dict[str, Any]:
    answer = {**shown(programme, each.reward, each.left), "can": each.can, "missing": each.missing}
    if no := each.why_not:
        said = {lang: no.message(lang) for lang in texts.LANGUAGES}
        answer["why_not"] = {"code": no.code, "text": said, "fix": {lang: no.fix(lang) for lang in said}}
    return answer


def vouchers(call: Call) -> tuple[int, Any]:
    """The vouchers a member was given: those that can be used first, then what became of the others."""
    programme = call.caller.programme
    person = members.by_public_id(programme.id, call.path["id"])
    return 200, {"data": [voucher(each) for each in service.mine(programme, person)]}


def statement(call: Call) -> tuple[int, Any]:
    """What became of a partner's rewards by month, and what the shop owes for those used: their cost less its share."""
    programme, month = call.caller.programme, call.query.get("month")
    if month and not _MONTH.fullmatch(month):
        raise Refusal("bad_month", status=422, param="month", value=month[:20])
    lines = settling.statement(programme, call.path["id"], month)
    keys = ("issued", "used", "cancelled", "cost", "borne", "owed")
    total = settling.total(lines)
    return 200, {
        "partner": call.path["id"],
        "as_of": time.iso(programme.now()),
        "lines": [
            {
                "month": each.month,
                "reward": each.reward,
                "name": dict(each.label),
                **{key: getattr(each, key) for key in keys},
            }
            for each in lines
        ],
        "total": {key: getattr(total, key) for key in keys},
    }


_REWARD = {
    "reward": "mug",
    "name": {"id": "Gelas", "en": "Mug"},
    "kind": "merchandise",
    "price": {"points": 50},
    "left": 3,
    "picture": None,
}
_CHOICE = {**_REWARD, "can": False, "missing": 12}
_VOUCHER = {"code": "7K3M9QPDX2R4T", "reward": "mug", "state": "ready", "expires_at": "2026-12-25T05:00:00Z"}
_SUMS = {"issued": 12, "used": 9, "cancelled": 1, "cost": 180000, "borne": 72000, "owed": 108000}

ROUTES = [
    Route(
        "rewards.list", "GET", "/rewards", listed, "read", "The catalogue, with stock left",
        answer_example={"data": [_REWARD]}, refuses=("no_program",),
    ),
    Route(
        "rewards.get", "GET", "/rewards/{id}", one, "read", "One reward",
        answer_example=_REWARD, refuses=("not_found",),
    ),
    Route(
        "members.rewards", "GET", "/members/{id}/rewards", choices, "read", "What a member can have, and what is missing",
        query={"outlet": "the outlet where they would have it; without it, place and hour are no reason against"},
        answer_example={"data": [_CHOICE]}, refuses=("not_found",),
    ),
    Route(
        "members.vouchers", "GET", "/members/{id}/vouchers", vouchers, "read", "A member's vouchers",
        answer_example={"data": [_VOUCHER]}, refuses=("not_found",),
    ),
    Route(
        "partners.statement", "GET", "/partners/{id}/statement", statement, "read", "What a partner is owed",
        query={"month": "2026-11; all months without it"},
        answer_example={"partner": "bunga", "lines": [{"month": "2026-11", "reward": "buket", **_SUMS}], "total": _SUMS},
        refuses=("not_found", "bad_month"),
    ),
]  # fmt: skip

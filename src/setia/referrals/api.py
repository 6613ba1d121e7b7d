"""The API of referrals: a member's code and friends, the programme's referrals, and named codes."""

from typing import Annotated, Any

import msgspec

from setia.intake.types import Body, MemberRef, Name
from setia.kit import ids, texts, time
from setia.kit.refusals import NotFound
from setia.members import service as members
from setia.members.service import Person
from setia.referrals import codes, service
from setia.referrals.codes import Result
from setia.referrals.service import Friend
from setia.web.api import Call, Route


class CodeBody(Body):
    """A named code: for whom, in which word, whose it is if a member's, and what a friend gets by it instead."""

    name: Name
    code: Annotated[str, msgspec.Meta(max_length=40)] = ""
    member: MemberRef | None = None
    gift: dict[str, int] = {}


def of_member(call: Call) -> tuple[int, Any]:
    """A member's code, made when it is first asked for, and how far each friend of theirs has come.

    `used` of `at_most` were rewarded this month. Refuses `referral_off` where the programme doesn't reward it.
    """
    programme = call.caller.programme
    found = service.required(
        programme, members.by_public_id(programme.id, call.path["id"]), texts.LANGUAGES[0]
    )
    return 200, {
        "code": found.code,
        "link": found.link,
        "used": found.used,
        "at_most": found.at_most,
        "friends": [_friend(each) for each in found.friends],
    }


def _friend(found: Friend) -> dict[str, Any]:
    return {
        "id": found.id,
        "friend": found.friend.public_id,
        "at": time.iso(found.at),
        "state": found.state,
        "due_at": time.iso(found.due_at) if found.due_at else None,
        "capped": found.is_capped,
    }


def referrals(call: Call) -> tuple[int, Any]:
    """The programme's referrals, newest first, with the signs that were seen; `address` alone holds none."""
    limit, query = call.limit(), call.query
    rows = service.listed(
        call.caller.programme,
        texts.LANGUAGES[0],
        query.get("state", "")[:20],
        query.get("after", "")[:40],
        limit + 1,
    )
    shown = rows[:limit]
    data = [
        {
            **_friend(each),
            "referrer": each.referrer.public_id if each.referrer else None,
            "code": each.code,
            "signals": list(each.signs),
            "reason": each.reason or None,
        }
        for each in shown
    ]
    has_more = len(rows) > limit
    return 200, {"data": data, "has_more": has_more, "after": shown[-1].id if has_more else None}


def make_code(call: Call) -> tuple[int, Any]:
    """A code for somebody by name, with a gift of its own for whoever joins by it if wished. Sent again, it is `code_taken`."""
    body, caller = call.body, call.caller
    owner = _owner(call, body.member) if body.member else None
    made = codes.make(caller.programme, body.name, caller.actor, body.code, owner, body.gift)
    return 201, _result(made)


def _owner(call: Call, ref: MemberRef) -> Person:
    program = call.caller.programme.id
    if ref.phone:
        person = members.by_phone(program, ref.phone)
        if person is None:
            raise NotFound("member", param="member.phone")
        return person
    return members.get(program, ids.parse("mem", ref.id or ""))


def _result(made: Result) -> dict[str, Any]:
    return {name: getattr(made, name) for name in ("id", "code", "name", "link", "gift")}


_FRIEND = {
    "id": "ref_01jc7s5x0000000000000000ex",
    "friend": "mem_01jc7s5x0000000000000000ex",
    "at": "2026-11-16T05:00:00Z",
    "state": "bought",
    "due_at": "2026-12-01T05:00:00Z",
    "capped": False,
}
ROUTES = [
    Route(
        "members.referral",
        "GET",
        "/members/{id}/referral",
        of_member,
        "read",
        "A member's code and the friends they brought",
        None,
        False,
        {},
        None,
        {
            "code": "7KWM3RPA",
            "link": "https://kopi.example/g/kopi-senja?r=7KWM3RPA",
            "used": 2,
            "at_most": 10,
            "friends": [_FRIEND],
        },
        ("not_found", "referral_off"),
    ),
    Route(
        "referrals.list",
        "GET",
        "/referrals",
        referrals,
        "read",
        "Who brought whom, and what holds a reward",
        None,
        False,
        {"state": "joined, bought, held, …", "limit": "1 to 200", "after": "the id the last page ended with"},
        None,
        {
            "data": [
                {
                    **_FRIEND,
                    "state": "held",
                    "referrer": "mem_01jc7s5x0000000000000000ey",
                    "code": "7KWM3RPA",
                    "signals": ["device"],
                    "reason": None,
                }
            ],
            "has_more": False,
            "after": None,
        },
    ),
    Route(
        "referrals.code",
        "POST",
        "/referrals/codes",
        make_code,
        "admin",
        "A code for an influencer",
        CodeBody,
        False,
        {},
        {"name": "Kopi Rani", "code": "KOPIRANI", "gift": {"points": 250}},
        {
            "id": "rfc_01jc7s5x0000000000000000ex",
            "code": "KOPIRANI",
            "name": "Kopi Rani",
            "link": "https://kopi.example/g/kopi-senja?r=KOPIRANI",
            "gift": {"points": 250},
        },
        ("code_taken", "bad_code", "bad_code_name", "bad_gift", "referral_off", "not_found"),
    ),
]

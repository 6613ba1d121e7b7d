"""The code a member shows to spend: whose it is, what it means, how long, how often."""

from datetime import UTC, datetime, timedelta

import pytest

from setia.kit import ids, time, totp
from setia.rewards import counter, rotating
from setia.till import finding
from tests.test_rewards import BUDI, NOON, buy, has, person, redeem, refused, senja, sound

__all__ = ["senja"]
KEY = totp.secret(b"the server's secret", "mem_1", "r", "mug")


def test_the_digits_are_those_of_rfc_6238():
    # Appendix B, SHA-256, at 59 seconds in steps of 30: turn 1.
    assert totp.code(b"12345678901234567890123456789012", 1) == "46119246"
    assert totp.code(b"12345678901234567890123456789012", 0x23523EC) == "68084774"


@pytest.mark.parametrize(
    ("seconds", "counts"), [(-60, True), (-1, True), (59, True), (119, True), (120, False), (-61, False)]
)
def test_a_code_counts_in_its_minute_and_the_ones_beside_it(seconds, counts):
    at = datetime(2026, 11, 16, 5, 0, tzinfo=UTC)  # a whole minute
    said = totp.code(KEY, totp.step(at))
    found = totp.matching(KEY, said, at + timedelta(seconds=seconds))
    assert found == (totp.step(at) if counts else None)


def test_a_code_is_of_one_member_and_one_thing():
    at = datetime(2026, 11, 16, 5, 0, 30, tzinfo=UTC)
    assert totp.left(at) == 30
    said = totp.code(KEY, totp.step(at))
    for other in (("mem_2", "r", "mug"), ("mem_1", "r", "sofa"), ("mem_1", "v", "mug")):
        assert totp.matching(totp.secret(b"the server's secret", *other), said, at) is None
    assert totp.matching(totp.secret(b"another secret", "mem_1", "r", "mug"), said, at) is None


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is told to go on."""

    class Clock:
        at = NOON

        def go_on(self, seconds):
            self.at += timedelta(seconds=seconds)

    clock = Clock()
    monkeypatch.setattr(rotating.time, "now", lambda: clock.at)
    return clock


def over(senja, text):
    return refused("turned_over", rotating.check, senja.programme, text)


def test_a_code_names_its_member_and_reward_scanned_or_typed(senja, clock):
    rani = person(senja)
    shown = rotating.show(rani, rotating.REWARD, "mug")
    for text in (shown.text, shown.digits, shown.digits.replace(" ", ""), f" {shown.digits} "):
        who, intent = rotating.check(senja.programme, text)
        assert (who.id, intent.kind, intent.name) == (rani.id, "r", "mug")
    clock.go_on(60)
    assert rotating.check(senja.programme, shown.text)[1].key == intent.key
    clock.go_on(120)
    over(senja, shown.text)
    over(senja, shown.digits)


def test_another_members_or_another_things_code_is_none(senja, clock):
    shown = rotating.show(person(senja), rotating.REWARD, "mug")
    budi = person(senja, BUDI)
    over(senja, shown.text.replace(person(senja).public_id, budi.public_id))
    over(senja, shown.text.replace(".mug.", ".sofa."))
    over(senja, f"{BUDI[-4:]}{shown.digits.replace(' ', '')[4:]}")
    over(senja, shown.text[:-1] + str((int(shown.text[-1]) + 1) % 10))
    over(senja, ids.public("mem", ids.new()) + ".r.mug.12345678")
    over(senja, "halo")


def test_a_code_redeems_once_and_the_next_one_again(senja, monkeypatch):
    now = time.now()
    buy(senja, "A", 200_000, at=now - timedelta(hours=1))
    shown = rotating.show(person(senja), rotating.REWARD, "mug")
    who, intent = rotating.check(senja.programme, shown.text)
    for _ in range(2):
        counter.redeem(senja.caller, who, intent.name, intent.key, None, is_handed_over=True)
    assert (has(senja, "points", time.now()), has(senja, "voucher/mug", time.now())) == (150, 0)
    refused("turned_used", rotating.check, senja.programme, shown.text)
    assert rotating.just_used(senja.programme, who, rotating.REWARD, "mug").external_id == intent.key
    monkeypatch.setattr(rotating.time, "now", lambda: now + timedelta(seconds=60))
    following = rotating.show(who, rotating.REWARD, "mug")
    assert rotating.check(senja.programme, following.text)[1].key != intent.key
    sound(senja)


def test_what_was_handed_over_at_once_is_taken_back_whole(senja):
    from setia.intake import by_hand, queries

    buy(senja, "A", 100_000, at=time.now() - timedelta(hours=1))
    receipt = counter.redeem(senja.caller, person(senja), "mug", "till-1", None, is_handed_over=True)
    event = queries.event(senja.programme, ids.public("evt", receipt.event_id))
    assert counter.handed_over(event)
    counter.take_back(event, lambda each: by_hand.undo(senja.caller, each))
    now = time.now()
    assert (has(senja, "points", now), has(senja, "voucher/mug", now)) == (100, 0)
    assert counter.handed_over(event) is None
    sound(senja)


def test_a_reward_that_can_t_be_handed_over_is_not_redeemed_either(senja):
    buy(senja, "A", 100_000, at=time.now() - timedelta(hours=1))
    refused(
        "voucher_with_sale",
        counter.redeem,
        senja.caller,
        person(senja),
        "hemat",
        "till-1",
        None,
        is_handed_over=True,
    )
    assert (has(senja, "points", time.now()), has(senja, "voucher/hemat", time.now())) == (100, 0)
    sound(senja)


def test_the_one_field_of_the_till_understands_every_code(senja):
    buy(senja, "A", 200_000, at=NOON - timedelta(hours=1))
    _, code = redeem(senja, "hemat")
    rani = person(senja)
    find = lambda text: finding.find(senja.caller, text)  # noqa: E731
    assert (
        find(code.lower()).voucher.code == code
        and find(f"{code[:4]} {code[4:8]}-{code[8:]}").only.id == rani.id
    )
    assert find(rotating.show(rani, rotating.VOUCHER, code).text).voucher.code == code
    wanted = find(rotating.show(rani, rotating.REWARD, "mug").text)
    assert (wanted.only.id, wanted.reward) == (rani.id, "mug")
    assert wanted.key.startswith(rotating.PREFIX)
    typo = code[:-1] + ("A" if code[-1] != "A" else "B")
    if not typo.isdecimal():
        assert find(typo).no.code == "code_typo"
    assert find("999900000000").no.code == "turned_over"
    assert find("081234567890").only.id == rani.id and find(rani.public_id).only.id == rani.id
    assert find("Rani Permatasar").no is None  # thirteen letters and more are a name
    stranger = finding.find(senja.caller, "0813 1111 2222")
    assert stranger.unknown_phone and stranger.no is None

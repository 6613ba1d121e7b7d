"""The loophole finder: it finds every planted one, nothing in honest programmes, and what it says is what the road does."""

import dataclasses
import json
import random
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from faults.loopholes import FAULTS, HEAD, LIMITED, PLAIN, PLANTED, TIERS, rule

from setia.intake import honest, loopholes, play
from setia.intake import service as intake
from setia.intake.shop import Shop
from setia.journal import service as journal
from setia.journal.models import Balance, Lot
from setia.kit import ids, time
from setia.kit.refusals import Refusal
from setia.members import service as members
from setia.programs import service as programs
from tests.conftest import DEMO, found_shop
from tests.test_command import run

WHOLE = HEAD + TIERS + PLAIN + LIMITED + rule("potongan", "discount: {percent: 5, at_most: 90000}")


def book_of(text):
    return programs.check(text, time.DEFAULT_ZONE)


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.name)
def test_every_planted_loophole_is_found(planted):
    with planted.fault():
        found = loopholes.search(book_of(planted.text), length=4)
    assert found, planted.peer
    assert found.sort == "standing" or found.out_of_nothing > 0
    for lang in ("id", "en"):
        assert len(found.lines(lang)) == len(found.steps) and found.verdict(lang) and found.mend(lang)


@pytest.mark.parametrize("planted", FAULTS, ids=lambda planted: planted.name)
def test_without_the_fault_nothing_is_found(planted):
    result = loopholes.look(book_of(planted.text), length=3)
    assert result.found is None and result.complete, result.found and result.found.lines("en")


HONEST = {DEMO: 3, **dict.fromkeys(sorted((DEMO.parents[2] / "programs/templates").glob("*.yaml")), 2)}


@pytest.mark.parametrize("path", HONEST, ids=lambda path: path.stem)
def test_honest_programmes_have_none(path):
    result = loopholes.look(book_of(path.read_text("utf-8")), length=HONEST[path])
    assert result.found is None and result.complete, result.found and result.found.lines("en")
    assert result.tried > 100 and len(HONEST) == 7


def test_points_for_any_receipt_at_one_outlet_are_a_loophole():
    text = (DEMO.parents[4] / "bench/twenty.yaml").read_text("utf-8")
    found = loopholes.search(book_of(text), length=3)
    assert found and found.sort == "more" and [step.key for step in found.steps] == ["join", "buy", "buy"]


class Noted(Shop):
    """A shop in memory that notes what it is told, so that it can be told to a real one."""

    def tell(self, told, at=None):
        self.said = getattr(self, "said", [])
        place, plain = len(self.said), dataclasses.replace(told)
        self.said.append(plain)
        try:
            case = super().tell(told, at)
        except Refusal:
            del self.said[place:]
            raise
        plain.source, plain.external_id, plain.at = told.source, told.external_id, told.at
        return case


ALL = loopholes.Theme("all", frozenset().union(*(theme.moves for theme in loopholes.THEMES)))


def on_the_road(shop, memory):
    """The same things told to a shop with a database, in the same order; its holders by those of memory."""
    holders, events = {}, {}
    for place, told in enumerate(memory.said):
        for who in (told.member, told.other):
            id = ids.parse("mem", who[1]) if who else None
            if id and id not in holders:
                person = members.create(
                    shop.programme.id, phone=f"08120000{len(holders):04}", at=told.at, channel="test"
                )
                journal.open_holder(shop.programme.id, person.id)
                holders[id] = person.id
        named = [
            ("id", ids.public("mem", holders[ids.parse("mem", who[1])])) if who else None
            for who in (told.member, told.other)
        ]
        told.member, told.other = named
        told.corrects = events.get(told.corrects, told.corrects)
        told.body_hash = str(place).encode()
        receipt = intake.accept(shop.caller, told, f"{told.kind} {told.external_id}")
        id = memory.numbers[told.external_id]
        events[ids.public("evt", id)] = ids.public("evt", receipt.event_id)
        if told.kind == "pool.opened":
            holders[id] = receipt.event_id
    return holders


def stands(balances, lots):
    return sorted(each for each in balances if each[-1]), sorted(each for each in lots if each[1])


@pytest.mark.parametrize("seed", range(8))
def test_the_shop_in_memory_decides_as_the_road_does(seed):
    chance, start = random.Random(seed), datetime(2024, 6, 3, 3, tzinfo=UTC)
    shop = found_shop(WHOLE)
    book = book_of(WHOLE)
    with programs.imagined(book) as program:
        hunt = loopholes._Hunt(book, program, honest.Worth(book.values, {}), 60)
        course = play.Play(Noted(program, book, start), hunt.worth, start)
        course.do(("join",))
        while len(course.path) < 25:
            with suppress(Refusal):
                course.do(chance.choice([*hunt._moves(course, hunt.scenes[0], ALL)]))
        memory = course.shop
    holders = on_the_road(shop, memory)
    for mine, theirs in holders.items():
        account = memory.accounts.get(mine)
        balances = [
            (asset, kind, n)
            for kind in ("available", "held", "debt")
            for asset, n in (account.of(kind) if account else {}).items()
        ]
        lots = [
            (lot.asset, lot.remaining, lot.available_from, lot.expires_at)
            for lot in memory.open.get(mine, {}).values()
        ]
        rows = Balance.objects.filter(holder_id=theirs).values_list("asset", "kind", "amount")
        kept = Lot.objects.filter(holder_id=theirs).values_list(
            "asset", "remaining", "available_from", "expires_at"
        )
        assert stands(balances, lots) == stands(rows, kept), [each.kind for each in memory.said]
    shop.sound()


def test_the_command_tells_the_steps_and_fails(tmp_path):
    file = tmp_path / "program.yaml"
    file.write_text(HEAD + "returns: {take: pending}\n" + PLAIN, "utf-8")
    said = run("program", "loopholes", str(file), "--length", "2", SETIA_LANG="en")
    assert said.returncode == 5, said.stderr
    assert "Number A buys for Rp10,000" in said.stdout and "1 point" in said.stdout
    file.write_text(HEAD + PLAIN, "utf-8")
    said = run("program", "loopholes", str(file), "--length", "2", "--json")
    assert said.returncode == 0 and json.loads(said.stdout)["found"] is None


def test_a_search_that_is_cut_short_says_so_and_the_same_text_gives_the_same_answer():
    book = book_of(DEMO.read_text("utf-8"))
    assert not loopholes.look(book, seconds=0).complete
    told = [loopholes.shown(loopholes.look(book_of(PLANTED[1].text))) for _ in range(2)]
    assert told[0]["found"] == told[1]["found"] and told[0]["tried"] == told[1]["tried"] > 100
    steps = told[0]["found"]["steps"]
    assert [step["paid"] - step["back"] for step in steps] == [0, 10_000, 0, -10_000]
    assert steps[1]["held"] == {"points": 1} and steps[-1]["worth"] == 100
    assert set(steps[0]["say"]) == {"id", "en"}

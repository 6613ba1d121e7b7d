"""The demo's year agrees with an independent calculation in plain SQL over the raw file, member by member.

A slice here, the whole in `make bench ONLY=agreement`.
"""

import uuid
from datetime import timedelta

from django.db.models import Count, Sum

from setia.intake.models import Event
from setia.journal.models import Entry
from setia.kit import time
from setia.members.models import ExternalId, Member
from setia.project.demo import load
from setia.tiers import service as tiers
from tests.agreement.independent import points_and_tiers, totals

SHIFT = 460  # weeks; fixed, so that the months the caps count by are the same at every run
HOUSEHOLDS = 40


def test_points_and_tiers_agree_with_plain_sql_over_the_raw_file():
    programme, loaded = load.load(
        lambda done, total: None, shift_weeks=SHIFT, households=HOUSEHOLDS, slug=f"uji-{uuid.uuid4().hex[:8]}"
    )
    own = {
        int(name): member
        for name, member in ExternalId.objects.filter(program_id=programme.id).values_list(
            "external_id", "member_id"
        )
    }
    expected, sums = points_and_tiers(SHIFT, list(own)), totals(SHIFT, list(own))
    given = dict(
        Entry.objects.filter(program_id=programme.id, asset="points")
        .values_list("member_id")
        .annotate(Sum("amount"))
    )
    last = Event.objects.filter(program_id=programme.id).latest("at").at
    for household, member in own.items():
        points, tier = expected[household]
        assert given[member] == points, household
        assert tiers.status(programme, member, last, "id").name == tier, household
    assert (loaded.purchases, loaded.lines, loaded.empty_lines) == (
        sums["purchases"],
        sums["lines"],
        sums["zero_lines"],
    )
    assert loaded.placeholders == sums["unknown_products"]
    counted = {name.lower(): n for name, n in tiers.counts(programme, last, "id")}
    assert counted == sums["tiers"]
    _loading_again_changes_nothing(programme)
    _everything_says_why(programme)
    from setia.journal import service as journal

    assert journal.audit(programme.id).faults == []
    assert Member.objects.filter(program_id=programme.id, is_invented=False).count() == 0


def _loading_again_changes_nothing(programme):
    before = Entry.objects.filter(program_id=programme.id).count()
    _, again = load.load(lambda done, total: None, households=HOUSEHOLDS, slug=programme.slug)
    assert again.repeated == again.purchases + again.members and again.points == 0
    assert Entry.objects.filter(program_id=programme.id).count() == before


def _everything_says_why(programme):
    """Each entry has its rule, version, inputs and a sentence in both languages; bulk is no exception."""
    from setia.intake import receipts

    kinds = Entry.objects.filter(program_id=programme.id).values("rule").annotate(n=Count("rule"))
    assert {kind["rule"] for kind in kinds} == {
        "selamat-datang",
        "belanja-pertama",
        "poin-bronze",
        "poin-silver",
        "poin-gold",
        "sore-soda",
        "tier.silver",
        "tier.gold",
    }
    for row in Entry.objects.filter(program_id=programme.id)[:400]:
        assert row.rule_version == 1
        entry = receipts.written([row.event_id])[row.event_id][row.n - 1]
        for lang in ("id", "en"):
            assert receipts.reason(entry, programme, lang).name
        assert str(entry.amount) in receipts.formula(entry, programme)


def test_the_shop_lives_in_the_past_week():
    programme, _ = load.load(lambda done, total: None, households=5, slug=f"uji-{uuid.uuid4().hex[:8]}")
    last = Event.objects.filter(program_id=programme.id, kind="purchase.made").latest("at").at
    assert timedelta(0) <= time.now() - last < timedelta(days=7)

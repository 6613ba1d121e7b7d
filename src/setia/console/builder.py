"""A rule as a form: its selects are drawn from the declarations, and what is filled in becomes a rule of the document.

What a form can't show (conditions within conditions, sums of several numbers) is left to the rule's own text.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from setia.engine import nodes
from setia.engine.vocabulary import CLAIMED, JOINED, MADE, WEEKDAYS
from setia.kit import money, texts

SALE = "sale"  # what the form calls a purchase at the till or claimed from its receipt
_ON = {SALE: [MADE, CLAIMED], JOINED: JOINED}
OPS = {
    "choice": ("is", "is_not", "one_of"),
    "date": ("is", "at_least", "at_most"),
    "number": ("at_least", "at_most", "is", "above", "below", "completes"),
}
AMOUNTS = ("fixed", "per", "percent")
ROWS = 3  # conditions that an empty form has room for


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition as typed."""

    fact: str = ""
    op: str = ""
    value: str = ""


@dataclass(frozen=True, slots=True)
class Form:
    """A rule as its form shows it; everything as typed."""

    id: str = ""
    name_id: str = ""
    name_en: str = ""
    on: str = SALE
    match: str = "all"
    conditions: tuple[Condition, ...] = ()
    what: str = "give"
    asset: str = "points"
    how: str = "per"
    number: str = "1"
    per: str = "10000"
    of: str = "net"
    only: str = ""  # the category whose lines count; all lines when empty
    rounding: str = "down"
    most: str = ""
    sku: str = ""
    benefit: str = ""
    expire: str = ""
    pending: str = ""
    limit_units: str = ""
    limit_times: str = ""
    limit_every: str = "month"
    limit_each: str = "member"
    budget: str = ""
    group: str = ""
    choose: str = "best"

    @property
    def rows(self) -> list[Condition]:
        """The conditions with room for more."""
        return [*self.conditions, *([Condition()] * max(1, ROWS - len(self.conditions)))]


def posted(data: Mapping[str, str]) -> Form:
    """The form as it was sent."""
    plain = {name: str(data.get(name, "")).strip() for name in _PLAIN if name in data}
    conditions = []
    for place in range(50):
        if f"fact-{place}" not in data:
            break
        test = Condition(*(str(data.get(f"{part}-{place}", "")).strip() for part in ("fact", "op", "value")))
        if test.fact:
            conditions.append(test)
    return replace(Form(), **plain, conditions=tuple(conditions))


_PLAIN = [name for name in Form.__dataclass_fields__ if name != "conditions"]


def rule(form: Form, units: Mapping[str, str]) -> dict[str, Any]:
    """The rule that a filled form means; the language's reader says what is wrong with it."""
    name: Any = {"id": form.name_id or form.name_en, "en": form.name_en or form.name_id}
    found: dict[str, Any] = {
        "id": form.id or slug(form.name_id or form.name_en),
        "name": name if name["id"] != name["en"] else name["id"],
        "on": _ON.get(form.on, form.on),
    }
    conditions = [_comparison(test, units) for test in form.conditions]
    if len(conditions) == 1:
        found["when"] = conditions[0]
    elif conditions:
        found["when"] = {"any" if form.match == "any" else "all": conditions}
    found[form.what] = _given(form)
    limit: dict[str, Any] = {"each": form.limit_each, "every": form.limit_every}
    limit |= {
        key: whole(text) for key, text in (("at_most", form.limit_units), ("times", form.limit_times)) if text
    }
    if len(limit) > 2:
        found["limit"] = limit
    if form.budget:
        found["budget"] = form.budget
    if form.group:
        found["group"] = {"name": form.group, "choose": form.choose}
    return found


def _given(form: Form) -> Any:
    if form.what == "benefit":
        return form.benefit
    if form.what == "free_item":
        return {"sku": form.sku, "qty": whole(form.number)}
    of: Any = form.of
    if form.only:
        only = [part.strip() for part in form.only.split(",") if part.strip()]
        where = (
            {"fact": "category", "is": only[0]} if len(only) == 1 else {"fact": "category", "one_of": only}
        )
        of = {"sum_lines": form.of if form.of in ("net", "items") else "net", "where": where}
    if form.what == "discount":
        found: dict[str, Any] = {"percent": percentage(form.number), "of": of}
        if form.how == "fixed":
            found = {"amount": whole(form.number), **({"where": of["where"]} if form.only else {})}
        return {**found, **({"at_most": whole(form.most)} if form.most else {})}
    amount: Any = whole(form.number)
    if form.how == "per":
        amount = {"per": whole(form.per), "points": amount, "of": of}
    elif form.how == "percent":
        amount = {"percent": percentage(form.number), "of": of}
    if isinstance(amount, dict) and form.rounding != "down":
        amount["rounding"] = form.rounding
    if form.most:
        amount = {"min": [amount, whole(form.most)]}
    found = {"asset": form.asset, "amount": amount}
    return found | {k: v for k, v in (("expire", form.expire), ("pending", form.pending)) if v}


def _comparison(test: Condition, units: Mapping[str, str]) -> dict[str, Any]:
    op, unit = test.op or "is", units.get(test.fact, "choice")
    if op == "one_of":
        return {"fact": test.fact, op: [_choice(part) for part in test.value.split(",") if part.strip()]}
    if unit in ("choice", "instants"):
        return {"fact": test.fact, op: _choice(test.value)}
    return {"fact": test.fact, op: test.value if unit == "date" else whole(test.value)}


def _choice(typed: str) -> str:
    """A choice as declared: days of the week may be typed in either language."""
    typed = typed.strip()
    for name in WEEKDAYS:
        if typed.lower() in {texts.say(f"weekday.{name}", lang).lower() for lang in texts.LANGUAGES}:
            return name
    return typed


def whole(typed: str) -> Any:
    """A whole number as typed, `Rp50.000` too; the text itself when it is none, for the reader to refuse."""
    found = money.parse(typed)
    return typed if found is None else found


def percentage(typed: str) -> Any:
    """A percentage as typed, with a comma too."""
    plain = typed.removesuffix("%").strip().replace(",", ".")
    return int(plain) if plain.isdigit() else plain


def slug(name: str) -> str:
    """A rule's id from its name."""
    letters = "".join(letter if letter.isalnum() and letter.isascii() else "-" for letter in name.lower())
    return "-".join(part for part in letters.split("-") if part)[:64]


def shown(rule_: Mapping[str, Any], units: Mapping[str, str]) -> Form | None:
    """The form of a rule; None when a form can't show it whole."""
    try:
        form = _shown(rule_)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError):
        return None
    return form if _same(rule(form, units), rule_) else None


def _same(one: Mapping[str, Any], two: Mapping[str, Any]) -> bool:
    """Whether two rules say the same; a name in one language and in both alike."""
    return _plain(one) == _plain(two)


def _plain(each: Mapping[str, Any]) -> dict[str, Any]:
    name, on, limit = each.get("name", each.get("id")), each.get("on"), each.get("limit")
    if isinstance(name, dict) and name.get("id") == name.get("en"):
        name = name["id"]
    more = {"name": name, "on": [on] if isinstance(on, str) else on, "when": _flat(each.get("when"))}
    if isinstance(limit, dict):
        more["limit"] = {"each": "member", **limit}
    return {**each, **more}


def _shown(rule_: Mapping[str, Any]) -> Form:
    name, on, when = rule_.get("name", rule_["id"]), rule_["on"], rule_.get("when")
    limit, group = rule_.get("limit") or {}, rule_.get("group") or {}
    what = next(key for key in ("give", "discount", "free_item", "benefit") if key in rule_)
    names = name if isinstance(name, dict) else {"id": name, "en": name}
    form = Form(
        id=rule_["id"],
        name_id=names["id"],
        name_en=names["en"],
        on=SALE if on == _ON[SALE] else on if isinstance(on, str) else on[0],
        match="any" if when and "any" in when else "all",
        conditions=tuple(_conditions(when)),
        what=what,
        limit_units=str(limit.get("at_most", "")),
        limit_times=str(limit.get("times", "")),
        limit_every=limit.get("every", "month"),
        limit_each=limit.get("each", "member"),
        budget=rule_.get("budget", ""),
        group=group.get("name", ""),
        choose=group.get("choose", "best"),
    )
    given = rule_[what]
    if what == "benefit":
        return replace(form, benefit=given)
    if what == "free_item":
        return replace(form, sku=given["sku"], number=str(given.get("qty", 1)))
    if what == "discount":
        form = replace(form, most=str(given.get("at_most", "")))
        if "amount" in given:
            only = _category(given["where"]) if "where" in given else ""
            return replace(form, how="fixed", number=str(given["amount"]), only=only)
        return _of(replace(form, how="percent", number=str(given["percent"])), given.get("of", "net"))
    form = replace(
        form, asset=given["asset"], expire=given.get("expire", ""), pending=given.get("pending", "")
    )
    amount = given["amount"]
    if isinstance(amount, dict) and "min" in amount:
        amount, most = amount["min"]
        form = replace(form, most=str(most))
    if isinstance(amount, int):
        return replace(form, how="fixed", number=str(amount))
    form = replace(form, rounding=amount.get("rounding", "down"))
    if "per" in amount:
        number = str(amount.get("points", 1))
        return _of(replace(form, how="per", per=str(amount["per"]), number=number), amount["of"])
    return _of(replace(form, how="percent", number=str(amount["percent"])), amount.get("of", "net"))


def _conditions(when: Mapping[str, Any] | None) -> Iterator[Condition]:
    for fact, op, value in _flat(when)[1]:
        yield Condition(fact, op, ", ".join(map(str, value)) if isinstance(value, list) else str(value))


def _flat(when: Mapping[str, Any] | None) -> tuple[str, list[tuple[str, str, Any]]]:
    """A condition as single comparisons, all or any of which must hold. Raises `ValueError` for one that is deeper."""
    if not when:
        return "all", []
    match = "any" if "any" in when else "all"
    parts = when.get("all", when.get("any", [when]))
    found = []
    for part in parts:
        own = [(part["fact"], op, part[op]) for op in nodes.OPS if op in part]
        if len(own) != len(part) - 1 or not own or (match == "any" and len(own) > 1):
            raise ValueError("deeper than a list of comparisons")
        found += own
    return match if len(found) > 1 else "all", found


def _of(form: Form, of: Any) -> Form:
    if isinstance(of, str):
        return replace(form, of=of)
    return replace(form, of=of["sum_lines"], only=_category(of["where"]))


def _category(where: Mapping[str, Any]) -> str:
    return ", ".join(where["one_of"]) if "one_of" in where else str(where["is"])


@dataclass(frozen=True, slots=True)
class Offer:
    """What the selects of a form offer, each with its label."""

    events: Sequence[tuple[str, str]]
    facts: Sequence[tuple[str, str]]
    assets: Sequence[str]
    budgets: Sequence[str]
    values: Mapping[str, Sequence[str]] = field(default_factory=dict)  # by fact, for suggestions while typing


def ops(unit: str) -> Iterable[str]:
    """The comparisons that make sense for a unit."""
    return OPS.get(unit, OPS["number"])

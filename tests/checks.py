"""What `make check` looks at beyond the tools: migrations, generated docs, texts, words that must not stand anywhere.

`python -m tests.checks --write` writes the generated pages anew.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
REFERENCE = ROOT / "docs" / "reference"
# Put together from parts so that this file doesn't hold what it looks for.
FORBIDDEN = re.compile(
    "|".join(
        [
            "pythonhost" + "ed",
            "registry\\.np" + "m",
            "deb\\.debi" + "an",
            "py" + "pi\\.org",
            "/wo" + "rk/",
            "/ro" + "ot/",
        ]
    )
)


# Every form of a condition, an amount and a fold, as a document has it; the reference says each as a sentence does.
CONDITIONS = (
    "{all: [{fact: net, at_least: 50000}, {fact: weekday, one_of: [monday, tuesday]}]}",
    "{any: [{fact: channel, is: web}, {fact: net, above: 100000}]}",
    "{not: {fact: outlet, is: bandara}}",
    "{fact: hour, at_least: 16, below: 19}",
    "{fact: member.purchases, completes: 10}",
    "{fact: date, at_least: 2026-02-18, at_most: 2026-03-19}",
    "{amount: {sum_lines: items, where: {fact: category, is: kopi}}, at_least: 2}",
)
AMOUNTS = (
    "10",
    "items",
    "{per: 10000, points: 2, of: net}",
    "{per: 10000, points: {by: member.tier, bronze: 1, silver: 2, gold: 3}, of: net}",
    "{percent: 5, of: net, rounding: nearest}",
    "{times: 3, of: items}",
    "{plus: [5, {per: 20000, points: 1, of: net}]}",
    "{min: [100, {percent: 5, of: net}]}",
    "{max: [10, items]}",
    "{beyond: 500000, of: net}",
    "{sum_lines: items, where: {fact: category, is: kopi}}",
    "{by: outlet, bandara: 5, else: 2}",
)
FOLDS = (
    "{sum: net, days: 90}",
    "{sum: items, this: year, where: {fact: category, is: kopi}}",
    "{count: purchases, this: month}",
    "{distinct: category, days: 90}",
    "{share: net, days: 90, where: {fact: category, is: kopi}}",
    "{streak: net, every: month, at_least: 1000000}",
    "{often: sku, days: 90}",
)


def main(write: bool) -> int:
    """Run every check; how many failed."""
    from tests import conftest

    conftest.start()
    try:
        problems = [*migrations(), *reference(write), *texts(), *words(), *documents()]
    finally:
        conftest.stop()
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"checks: {'fine' if not problems else f'{len(problems)} problems'}")
    return len(problems)


def migrations() -> list[str]:
    """Models and migrations say the same."""
    from django.core.management import call_command

    try:
        call_command("makemigrations", check=True, dry_run=True, verbosity=0)
    except SystemExit:
        return ["models have changes without a migration: run makemigrations"]
    return []


def reference(write: bool) -> list[str]:
    """The generated pages of the reference are what the declarations say."""
    problems = []
    for name, text in pages().items():
        path = REFERENCE / name
        if write:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
        elif not path.exists() or path.read_text("utf-8") != text:
            problems.append(f"docs/reference/{name} is not current: python -m tests.checks --write")
    return problems


def pages() -> dict[str, str]:
    """The reference, made from the declarations."""
    from setia.kit import texts
    from setia.programs import service as programs
    from setia.project.api import ROUTES

    words = programs.words()
    facts = [
        [
            f"`{fact.name}`",
            fact.unit,
            "carried" if fact.is_carried else "folded" if fact.fold else "looked up",
            _pair(f"fact.{fact.name}"),
        ]
        for fact in words.facts.values()
    ]
    events = [
        [f"`{kind.name}`", kind.scope, _pair(f"event.{kind.name}"), ", ".join(f"`{c}`" for c in kind.carries)]
        for kind in words.events.values()
    ]
    codes = sorted(
        key.removeprefix("refusal.")
        for key in texts.catalogue()
        if key.startswith("refusal.") and not key.endswith(".fix")
    )
    refusals = [
        [f'<a id="{code}"></a>`{code}`', _raw(f"refusal.{code}"), _raw(f"refusal.{code}.fix")]
        for code in codes
    ]
    routes = [[f"`{route.method} /v1{route.path}`", route.scope, route.summary] for route in ROUTES]
    return {
        "facts.md": _page(
            "Facts",
            "What rules may read. Made from the declarations.",
            ["Fact", "Unit", "Sort", "Label"],
            facts,
        ),
        "nodes.md": _language(),
        "events.md": _page(
            "Events",
            "What can happen. Made from the declarations.",
            ["Event", "Scope", "Label", "Carries"],
            events,
        ),
        "refusals.md": _page(
            "Refusals",
            "Every way Setia says no, and what to do. Made from the texts.",
            ["Code", "Says", "Fix"],
            refusals,
        ),
        "api.md": _page(
            "API",
            "Every operation; the running product has examples at `/docs`. Made from the routes.",
            ["Operation", "Scope", "Does"],
            routes,
        ),
    }


def _language() -> str:
    """The forms of the rule language: how each is written, what it is and how it is said."""
    from setia.engine import language, nodes, sentences, vocabulary
    from setia.kit import texts
    from setia.programs import document
    from setia.programs import service as programs

    ladder = [
        {"tier": "bronze"},
        {"tier": "silver", "from_spend": 10**7, "keep": "12 months"},
        {"tier": "gold", "from_spend": 3 * 10**7, "keep": "12 months"},
    ]
    own = {f"nama{i}": document.load(fold) for i, fold in enumerate(FOLDS)}
    rule = {"id": "a", "on": "purchase.made", "give": {"asset": "points", "amount": 1}}
    text = {"program": "-", "assets": {"points": {}}, "tiers": ladder, "facts": own, "rules": [rule]}
    book, problems = language.read(text, programs.words(), 1, "Asia/Jakarta")
    assert book, problems
    reader, seen = language.Reader(programs.words()), set()

    def row(form: str, node: object, say: str) -> list[str]:
        seen.add(type(node))
        return [f"`{form}`", f"`{type(node).__name__}`", _first(type(node)), say]

    def both(say) -> str:  # type: ignore[no-untyped-def]
        return " / ".join(say(lang) for lang in texts.LANGUAGES)

    conditions, amounts, folds = [], [], []
    for form in CONDITIONS:
        node = reader.condition(form, document.load(form))
        conditions.append(
            row(form, node, both(lambda lang, node=node: sentences.condition(book, node, lang)))
        )
    for form in AMOUNTS:
        node = reader.amount(form, document.load(form))
        amounts.append(
            row(form, node, both(lambda lang, node=node: sentences.amount(book, node, "points", lang)))
        )
    for i, form in enumerate(FOLDS):
        fold = book.folds[f"my.nama{i}"]
        folds.append(row(form, fold, both(lambda lang, i=i: sentences.fact(book, f"my.nama{i}", lang))))
    assert not reader.problems, reader.problems
    every = {each for each in vars(nodes).values() if isinstance(each, type) and hasattr(each, "reads")}
    every -= {nodes.Node, nodes.Value, nodes.Compare}  # a comparison with two ends is two of them
    missing = (every | {vocabulary.Sum, vocabulary.Often}) - seen
    assert not missing, f"no form in the reference for {missing}"
    head = ["Written", "Node", "Is", "Says"]
    return "\n".join(
        [
            _page(
                "The rule language", "Made from the declarations, and read by the language itself.", [], []
            ),
            _page("Conditions", "A rule's `when`, a sum's `where`.", head, conditions).replace(
                "# ", "## ", 1
            ),
            _page("Amounts", "What a rule gives or takes off.", head, amounts).replace("# ", "## ", 1),
            _page("Own facts", "The section `facts:`, read as `my.<name>`.", head, folds).replace(
                "# ", "## ", 1
            ),
        ]
    )


def _first(kind: type) -> str:
    """The first sentence of a declaration's docstring."""
    return " ".join((kind.__doc__ or "").split("\n\n")[0].split())


def _pair(key: str) -> str:
    from setia.kit import texts

    assert texts.has(key), f"text {key} is missing"
    return " / ".join(texts.catalogue()[key][lang] for lang in texts.LANGUAGES)


def _raw(key: str) -> str:
    from setia.kit import texts

    return texts.outline(key, "en")


def _page(title: str, intro: str, head: list[str], rows: list[list[str]]) -> str:
    lines = [f"# {title}", "", intro]
    lines += ["", "| " + " | ".join(head) + " |", "|" + "---|" * len(head)] if head else []
    return "\n".join(
        [
            *lines,
            *("| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in rows),
            "",
        ]
    )


def texts() -> list[str]:
    """Every text has both languages with the same blanks, and every key used in templates and code exists."""
    from setia.kit import texts as all_texts

    problems = []
    for key, text in all_texts.catalogue().items():
        if set(text) - {"id", "en", "en_one"} or not {"id", "en"} <= set(text):
            problems.append(f"text {key} must have id and en")
            continue
        blanks = [set(re.findall(r"(?<!\{)\{(\w+)", text[lang])) for lang in ("id", "en")]
        if blanks[0] != blanks[1]:
            problems.append(f"text {key} fills different blanks in id and en: {blanks}")
    for path in (ROOT / "src").rglob("*"):
        if path.suffix == ".html":
            used = re.findall(r"\{% t ['\"]([\w.]+)['\"]", path.read_text("utf-8"))
        elif path.suffix == ".py":
            used = re.findall(r"texts\.(?:say|pair)\(\s*\"(\w[\w.]+)\"", path.read_text("utf-8"))
        else:
            continue
        problems += [
            f"{path.name} uses text {key}, which there isn't" for key in used if not all_texts.has(key)
        ]
    return problems


def words() -> list[str]:
    """No registry's host and no machine's path in any file that git keeps."""
    files = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\n")
    problems = []
    for name in filter(None, files):
        try:
            text = (ROOT / name).read_text("utf-8")
        except (UnicodeDecodeError, FileNotFoundError):
            continue
        problems += [
            f"{name}:{n} names {found[0]}"
            for n, line in enumerate(text.splitlines(), 1)
            if (found := FORBIDDEN.search(line))
        ]
    return problems


def documents() -> list[str]:
    """Every relative link in the docs leads somewhere."""
    problems = []
    for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        links = re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", path.read_text("utf-8"))
        lost = (link for link in links if not (path.parent / link).exists())
        problems += [f"{path.relative_to(ROOT)} links to {link}, which there isn't" for link in lost]
    return problems


if __name__ == "__main__":
    sys.exit(bool(main("--write" in sys.argv)))

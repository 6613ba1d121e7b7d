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


def main(write: bool) -> int:
    """Run every check; how many failed."""
    from tests import conftest

    conftest.pytest_configure(None)  # type: ignore[arg-type]
    try:
        problems = [*migrations(), *reference(write), *texts(), *words(), *documents()]
    finally:
        conftest.pytest_unconfigure(None)  # type: ignore[arg-type]
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


def _pair(key: str) -> str:
    from setia.kit import texts

    assert texts.has(key), f"text {key} is missing"
    return " / ".join(texts.catalogue()[key][lang] for lang in texts.LANGUAGES)


def _raw(key: str) -> str:
    from setia.kit import texts

    return texts.outline(key, "en")


def _page(title: str, intro: str, head: list[str], rows: list[list[str]]) -> str:
    lines = [f"# {title}", "", intro, "", "| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
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

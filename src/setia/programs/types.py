"""What programmes are to other modules: drafts, versions, what was found wrong, what changed. No framework."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from setia.engine.decide import Book
from setia.engine.examples import Tried
from setia.engine.language import Problem
from setia.kit import texts
from setia.kit.refusals import Refusal

OPEN = ("draft", "checked", "tried", "approved")  # the states of a draft that may still become a version


class BadDocument(Refusal):
    """A document with problems: all of them, each with its place. `file` is how the text is called, if it has a name."""

    def __init__(self, problems: Sequence[Problem], file: str = "") -> None:
        super().__init__("bad_document", status=422, param="document", n=len(problems))
        self.problems, self.file = problems, file

    def message(self, lang: str) -> str:
        """The count and then each problem on a line of its own."""
        return "\n".join(
            [
                texts.say("refusal.bad_document", lang, n=len(self.problems)),
                *(f"  {problem.message(lang, self.file)}" for problem in self.problems),
            ]
        )


class ExamplesFail(Refusal):
    """A document whose own examples don't come out as they say."""

    def __init__(self, checked: "Checked") -> None:
        super().__init__("examples_fail", status=422, param="document", n=len(checked.failed))
        self.checked = checked

    def message(self, lang: str) -> str:
        """The count and then the story of each example that failed."""
        stories = [self.checked.story(each, lang) for each in self.checked.failed]
        return "\n".join([texts.say("refusal.examples_fail", lang, n=len(stories)), *stories])


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found about a text: problems keep it from being published, so do examples that fail; warnings don't."""

    book: Book | None
    problems: Sequence[Problem] = ()
    warnings: Sequence[Problem] = ()
    examples: Sequence[Tried] = ()
    units: Mapping[str, str] = field(default_factory=dict)

    @property
    def failed(self) -> list[Tried]:
        """The examples that didn't come out as they say."""
        return [each for each in self.examples if not each.is_met]

    @property
    def is_fit(self) -> bool:
        """Whether it may be published."""
        return self.book is not None and not self.problems and not self.failed

    def story(self, tried: Tried, lang: str) -> str:
        """What an example expected, what came, and why."""
        assert self.book is not None
        return tried.story(self.book, self.units, lang)

    def must_be_fit(self, file: str = "") -> Book:
        """The book. Refuses `bad_document` and `examples_fail`."""
        if self.problems or self.book is None:
            raise BadDocument(self.problems, file)
        if self.failed:
            raise ExamplesFail(self)
        return self.book


@dataclass(frozen=True, slots=True)
class Draft:
    """A text on its way to a version. `authors` are the actors who wrote it, the last one last; `revision` counts its texts.

    `state`: `draft`, `checked` (nothing is wrong), `tried` (its examples came out, or somebody tried a sale on it),
    `approved`, `published` as `version`, or `dropped`. `restores` is the version whose text it brings back.
    """

    id: str
    text: str
    note: str
    authors: Sequence[str]
    based_on: int
    restores: int | None
    state: str
    revision: int
    made_at: datetime
    changed_at: datetime
    approved_by: str
    approved_at: datetime | None
    version: int | None

    @property
    def author(self) -> str:
        """Who wrote it last."""
        return self.authors[-1]


@dataclass(frozen=True, slots=True)
class Published:
    """A version as people see it. `retired_at` is when the next one takes over, None while none is to.

    `state`: `ahead` (published, not in force yet), `live`, `retired`, or `replaced` before it was ever in force. `outlets` are
    the codes of those where alone it is tried; none for one that is in force everywhere.
    """

    number: int
    title: Mapping[str, str]
    effective_from: datetime
    retired_at: datetime | None
    state: str
    published_at: datetime
    published_by: str
    approved_by: str
    restores: int | None
    note: str
    document: str
    outlets: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between two books: a rule, or a section of the document, as it was and as it is to be.

    `what` is `added`, `removed` or `changed`; `subject` a rule's id or a section's name.
    """

    what: str
    subject: str
    name: str
    old: str
    new: str

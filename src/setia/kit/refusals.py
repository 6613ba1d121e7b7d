"""Refusals: what a merchant, cashier or member may cause, said so that they know what to do. Not for our own bugs."""

from typing import Any

from setia.kit import texts


class Refusal(Exception):
    """A clear no. `web` renders it once for HTTP and the command line once for a terminal.

    `code` names a pair of texts, `refusal.<code>` and `refusal.<code>.fix`, in the owner's `texts.toml`;
    `values` fill them; `param` says which part of the input it speaks of; `status` is HTTP's.
    """

    def __init__(
        self,
        code: str,
        *,
        status: int = 409,
        param: str | None = None,
        retryable: bool = False,
        **values: Any,
    ) -> None:
        super().__init__(code)
        self.code, self.status, self.param, self.retryable, self.values = (
            code,
            status,
            param,
            retryable,
            values,
        )

    def message(self, lang: str) -> str:
        """What happened, in one sentence."""
        return texts.say(f"refusal.{self.code}", lang, **self.values)

    def fix(self, lang: str) -> str:
        """What to do about it, in one sentence."""
        return texts.say(f"refusal.{self.code}.fix", lang, **self.values)

    def __str__(self) -> str:
        return f"{self.message('en')} {self.fix('en')}"


class NotFound(Refusal):
    """Nothing by that name *here*: another merchant's thing answers exactly the same."""

    def __init__(self, what: str, value: str = "", param: str | None = None) -> None:
        super().__init__("not_found", status=404, param=param, what=what, value=value)

"""The programme on rows that the hot road writes."""

from typing import Any

from django.db import models


class HotProgram(models.ForeignKey):  # type: ignore[type-arg]
    """A programme without a constraint of its own: eleven checks a purchase would all lock the one programme's row.

    The holder's row, which every such write goes through, has the constraint.
    """

    def __init__(self, **options: Any) -> None:
        settled = {
            "to": "tenancy.Program",
            "on_delete": models.PROTECT,
            "related_name": "+",
            "db_index": False,
        }
        super().__init__(**{**options, **settled, "db_constraint": False})

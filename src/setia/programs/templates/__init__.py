"""Finished programmes to begin with: a text for each sort of shop, with its own examples. They are only read."""

import re
from functools import cache
from importlib.resources import files

import yaml

from setia.kit.refusals import NotFound

_TITLE = re.compile(r"^program:.*$", re.M)
_ENTITY = re.compile(r"^(  entity: )Usaha Anda(?= )", re.M)  # who owes what is on gift cards


@cache
def names() -> tuple[str, ...]:
    """The templates there are. What each is for is the text `template.<name>`."""
    return tuple(
        sorted(
            each.name.removesuffix(".yaml")
            for each in files(__name__).iterdir()
            if each.name.endswith(".yaml")
        )
    )


def text(name: str) -> str:
    """A template as it is written. Refuses `not_found`."""
    if name not in names():
        raise NotFound("template", name, param="template")
    return files(__name__).joinpath(f"{name}.yaml").read_text("utf-8")


def for_shop(name: str, shop: str) -> str:
    """A template with the shop's own name as the programme's, and as whoever issues its gift cards. Refuses `not_found`."""
    title = _flow({"id": f"Kartu {shop}", "en": f"{shop} Card"})
    titled = _TITLE.sub(lambda _: f"program: {title}", text(name), count=1)
    entity = _flow([shop])[1:-1]
    return _ENTITY.sub(lambda found: f"{found[1]}{entity}", titled, count=1)


def _flow(thing: object) -> str:
    """A value as YAML in one line."""
    shown = yaml.safe_dump(thing, default_flow_style=True, allow_unicode=True, sort_keys=False, width=10_000)
    return str(shown).strip()

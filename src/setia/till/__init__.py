"""The cashier's page: find somebody, type an amount, give the points, take them back. It books only through `intake`."""

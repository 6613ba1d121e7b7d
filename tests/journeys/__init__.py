"""A browser walks what people walk: joining, selling, undoing, asking why."""

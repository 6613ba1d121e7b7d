"""A migration step that makes a table append-only: the database itself refuses UPDATE, DELETE and TRUNCATE."""

from typing import Any

from django.db import migrations

_REFUSE = """
CREATE OR REPLACE FUNCTION setia_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'table % is append-only: write a correcting entry instead of %', TG_TABLE_NAME, TG_OP
    USING ERRCODE = 'restrict_violation';
END $$;
"""


def append_only(*tables: str) -> migrations.RunSQL:
    """Whoever asks, the owner too, can only add to these tables."""
    forward: list[Any] = [
        _REFUSE,
        *(
            f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION setia_append_only();"
            for table in tables
        ),
    ]
    backward: list[Any] = [f"DROP TRIGGER append_only ON {table};" for table in tables]
    return migrations.RunSQL(forward, backward)

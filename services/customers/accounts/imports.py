"""Accounts from a file. A row may name its parent by external id: an account of the same source, or another row.

The parent may come anywhere in the file, so a file that names parents is merged as one. A row whose parent is neither
an account nor a good row is refused like any with an unknown reference (and with it those below it, unless the account
that they name exists); so is one that would make an account its own ancestor, or that belongs below such a row. A row
with an empty parent takes the account's parent away.
"""

from services.customers.accounts.resource import ACCOUNTS
from services.customers.accounts.service import ONE_MOVE_AT_A_TIME
from shared.imports.target import Check, ImportField, ImportTarget, Lookup, live_record

# One row of a file for each account in it, if the file names parents; `fresh` accounts are not there yet. Accounts that
# are there are locked, in one order, before other moves are kept waiting: a move locks its account first, too.
_FAMILY = (
    "CREATE TEMPORARY TABLE IF NOT EXISTS family (key text PRIMARY KEY, row bigint NOT NULL, id uuid NOT NULL, "
    "fresh boolean NOT NULL, parent text, parent_id uuid)",
    "CREATE TEMPORARY TABLE IF NOT EXISTS parents (key text PRIMARY KEY, id uuid NOT NULL)",
    "CREATE TEMPORARY TABLE IF NOT EXISTS tree (id uuid PRIMARY KEY, parent_id uuid)",
    "CREATE INDEX IF NOT EXISTS ix_family_parent ON family (parent)",
    "CREATE INDEX IF NOT EXISTS ix_tree_parent ON tree (parent_id)",
    "TRUNCATE family, parents, tree",
    f"""
    INSERT INTO family SELECT s.key, s.row, coalesce(a.id, s.new_id), a.id IS NULL, s.parent
    FROM (SELECT * FROM staged WHERE NOT superseded AND EXISTS (SELECT FROM mapped WHERE field = 'parent')
          ORDER BY key) s
    LEFT JOIN LATERAL ({live_record("accounts", "s.key", lock="FOR NO KEY UPDATE")}) a ON true
    """,
    "ANALYZE family",
    f"{ONE_MOVE_AT_A_TIME.format(tenant_id='$1::uuid')} WHERE EXISTS (SELECT FROM family)",
)

# The parents that are named: accounts that are there, and those that this file makes. A fresh account whose parent is
# unknown will not be made, and neither will the fresh ones below it.
_PARENTS = (
    f"""
    INSERT INTO parents SELECT wanted.key, a.id
    FROM (SELECT DISTINCT parent AS key FROM staged WHERE parent IS NOT NULL) wanted
    CROSS JOIN LATERAL ({live_record("accounts", "wanted.key")}) a
    """,
    """
    WITH RECURSIVE lost AS (
        SELECT f.key FROM family f
        WHERE f.fresh AND f.parent IS NOT NULL AND NOT EXISTS (SELECT FROM parents p WHERE p.key = f.parent)
          AND NOT EXISTS (SELECT FROM family p WHERE p.key = f.parent)
        UNION ALL
        SELECT f.key FROM lost
        CROSS JOIN LATERAL (SELECT key FROM family WHERE parent = lost.key AND fresh OFFSET 0) f
    )
    INSERT INTO parents SELECT f.key, f.id FROM family f
    WHERE f.fresh AND EXISTS (SELECT FROM staged s WHERE s.parent = f.key)
      AND NOT EXISTS (SELECT FROM lost WHERE lost.key = f.key)
    """,
    "UPDATE family f SET parent_id = p.id FROM parents p WHERE p.key = f.parent",
)

# Who would be below whom: the good rows, and the accounts above them that the file leaves as they are. What hangs from
# no root is in a circle or below one, and is all that is left in `tree`.
_CIRCLES = (
    "INSERT INTO tree SELECT id, parent_id FROM family WHERE parent IS NULL OR parent_id IS NOT NULL",
    "ANALYZE tree",
    """
    WITH RECURSIVE above (id, parent_id) AS (
        SELECT NULL::uuid, parent_id FROM tree
        UNION
        SELECT a.id, a.parent_id FROM above CROSS JOIN LATERAL (
            SELECT id, parent_id FROM accounts WHERE tenant_id = $1::uuid AND id = above.parent_id OFFSET 0
        ) a
        WHERE NOT EXISTS (SELECT FROM tree t WHERE t.id = a.id)
    )
    INSERT INTO tree SELECT id, parent_id FROM above WHERE id IS NOT NULL
    """,
    """
    WITH RECURSIVE rooted AS (
        SELECT id FROM tree WHERE parent_id IS NULL
        UNION ALL
        SELECT t.id FROM rooted CROSS JOIN LATERAL (SELECT id FROM tree WHERE parent_id = rooted.id OFFSET 0) t
    )
    DELETE FROM tree t USING rooted r WHERE t.id = r.id
    """,
    "ANALYZE tree",
)
_CIRCULAR = "s.parent = s.key OR s.row IN (SELECT f.row FROM family f JOIN tree t ON t.id = f.id)"

ACCOUNT_IMPORT = ImportTarget(
    resource=ACCOUNTS,
    fields={
        "name": ImportField(column="name", required=True),
        "domain": ImportField(column="domain", max_length=253),
        "sector": ImportField(column="sector", max_length=100),
        "year_established": ImportField("integer", "year_established", minimum=1, maximum=9999),
        "employees": ImportField("integer", "employees", minimum=0, maximum=2_000_000_000),
        "annual_revenue": ImportField("money", "annual_revenue"),
        "country": ImportField(column="country", max_length=100),
        "city": ImportField(column="city", max_length=100),
        "description": ImportField(column="description", max_length=100_000),
        "parent": ImportField(max_length=255),
    },
    lookups=(Lookup("parent", "parent_id", "account of this source", "SELECT key, id FROM parents"),),
    checks=(Check("parent", "circular", "an account is never its own ancestor", _CIRCULAR),),
    before=(*_FAMILY, *_PARENTS, *_CIRCLES),
    together=("parent",),
)

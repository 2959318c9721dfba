import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.telemetry.statements import summarize


@pytest.mark.parametrize(
    ("statement", "summary"),
    [
        ("SELECT 1", "SELECT"),
        ("select id from accounts where name = 'jane'", "SELECT accounts"),
        ('SELECT a.id FROM "accounts" AS a JOIN contacts c ON true', "SELECT accounts contacts"),
        ("SELECT a FROM public.accounts FOR UPDATE", "SELECT public.accounts"),
        (
            "SELECT (SELECT row_to_json(r) FROM (SELECT t.id AS id) r)::text, t.version FROM accounts t",
            "SELECT accounts",
        ),
        (
            "SELECT (SELECT row_to_json(j) FROM (SELECT i.id FROM owners i) j), t.id FROM accounts t",
            "SELECT owners accounts",
        ),
        ("SELECT id FROM lines WHERE EXISTS (SELECT FROM deals)", "SELECT lines SELECT deals"),
        ("SELECT extract(epoch FROM opened) FROM tickets", "SELECT tickets"),
        ("SELECT a IS DISTINCT FROM b FROM t", "SELECT t"),
        ("INSERT INTO accounts (a) VALUES ($1) ON CONFLICT DO UPDATE SET a = 1", "INSERT accounts"),
        ("UPDATE accounts SET name = 'from secrets' WHERE id = $1", "UPDATE accounts"),
        ("DELETE FROM accounts WHERE id = 7", "DELETE accounts"),
        (
            "WITH old AS (DELETE FROM queue RETURNING *) INSERT INTO archive SELECT * FROM old",
            "DELETE queue INSERT archive SELECT old",
        ),
        ("COPY staging (a) FROM STDIN", "COPY staging"),
        ("-- from jane\n/* join bob */ SELECT a FROM t", "SELECT t"),
        ("SELECT $tag$ from jane $tag$ FROM t", "SELECT t"),
        ("BEGIN;", "BEGIN"),
        ("  commit", "COMMIT"),
        ("SAVEPOINT sa_savepoint_17", "SAVEPOINT"),
        ("", "SQL"),
    ],
)
def test_operations_with_their_tables(statement: str, summary: str) -> None:
    assert summarize(statement) == summary


@given(st.text(alphabet="abcXYZ' \n\"$;-", max_size=40))
def test_no_literal_reaches_the_summary(secret: str) -> None:
    literal = "'" + f"s3cret from {secret}".replace("'", "''") + "'"
    assert summarize(f"SELECT id FROM accounts WHERE name = {literal}") == "SELECT accounts"


def test_a_summary_has_its_limit() -> None:
    many = "SELECT 1 " + " ".join(f"FROM table_number_{n}" for n in range(100))
    assert len(summarize(many)) <= 255

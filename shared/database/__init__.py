"""PostgreSQL as every service uses it: tables with the tenant in front, reads, transactions, migrations."""

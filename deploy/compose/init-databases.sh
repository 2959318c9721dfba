#!/usr/bin/env bash
# Runs once, when PostgreSQL has made an empty cluster: a database per service, owned by a role of its own that no
# other role may enter. Passwords come from the secrets' files and pass through neither arguments nor environment.
set -euo pipefail
export SECRETS="${KONTOR_SECRETS:-/run/secrets}"

for service in customers sales tickets; do
    # An unreadable file would give psql an empty password, which it takes.
    if [ ! -s "$SECRETS/$service-password" ] || [ ! -r "$SECRETS/$service-password" ]; then
        echo "The secret $SECRETS/$service-password is missing, empty or not readable." >&2
        exit 1
    fi
    export service
    psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" --dbname=postgres <<'SQL'
\getenv service service
\set password `cat "$SECRETS/$service-password"`
CREATE ROLE :"service" LOGIN PASSWORD :'password';
CREATE DATABASE :"service" OWNER :"service";
REVOKE ALL ON DATABASE :"service" FROM PUBLIC;
SQL
done

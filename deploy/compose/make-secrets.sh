#!/usr/bin/env bash
# Makes the secrets of this deployment in ./secrets, readable by their owner only, and ./.env unless there is one.
# Never overwrites: run it again to complete what is missing. Needs OpenSSL 1.1.1 or newer.
# The containers run as the secrets' owner: you, or user 10001 when root makes them.
set -euo pipefail
umask 077
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
secrets="$here/secrets"
mkdir -p "$secrets"

if [ ! -e "$here/.env" ]; then
    if [ "$(id -u)" -eq 0 ]; then
        cat "$here/.env.example"
    else
        sed -e "s/^KONTOR_UID=.*/KONTOR_UID=$(id -u)/" -e "s/^KONTOR_GID=.*/KONTOR_GID=$(id -g)/" "$here/.env.example"
    fi >"$here/.env"
    echo "made .env"
fi

# keep NAME: standard input becomes the secret, whole or not at all.
keep() {
    local unfinished
    unfinished="$(mktemp "$secrets/.unfinished.XXXXXX")"
    cat >"$unfinished"
    if [ ! -s "$unfinished" ]; then
        rm -f "$unfinished"
        echo "Could not make the secret $1." >&2
        return 1
    fi
    mv "$unfinished" "$secrets/$1"
    echo "made secrets/$1"
}
missing() { [ ! -e "$secrets/$1" ]; }
random_hex() { openssl rand -hex 32; }

missing postgres-password && random_hex | keep postgres-password
for service in customers sales tickets; do
    missing "$service-password" && random_hex | keep "$service-password"
    missing "$service-cursor-key" && random_hex | keep "$service-cursor-key"
    missing "$service-database-url" && printf 'postgresql://%s:%s@postgres:5432/%s\n' \
        "$service" "$(<"$secrets/$service-password")" "$service" | keep "$service-database-url"
done

missing identity-private-key.pem && openssl genpkey -algorithm ed25519 | keep identity-private-key.pem
missing identity-public-key.pem \
    && openssl pkey -in "$secrets/identity-private-key.pem" -pubout | keep identity-public-key.pem

# For observability.yaml: Prometheus asks the gateway's admin API, and you enter Grafana.
missing gateway-admin-key && random_hex | keep gateway-admin-key
missing grafana-password && random_hex | keep grafana-password

# The key for the caller; the gateway gets no more than its digest.
if missing api-key; then
    random="$(openssl rand -base64 32 | tr '+/' '-_' | tr -d '=\n')"
    printf 'kontor_%s\n' "$random" | keep api-key
fi
if missing api-keys.json; then
    digest="$(tr -d '\n' <"$secrets/api-key" | openssl dgst -sha256 -r | cut -d' ' -f1)"
    # A random UUID, version 4 (RFC 9562, 5.4).
    tenant="$(openssl rand -hex 16 | sed -E 's/^(.{8})(.{4}).(.{3}).(.{3})(.{12})$/\1-\2-4\3-8\4-\5/')"
    printf '{"keys": [{"id": "first", "sha256": "%s", "tenant_id": "%s", "scopes": ["*"]}]}\n' \
        "$digest" "$tenant" | keep api-keys.json
fi

if [ "$(id -u)" -eq 0 ]; then
    setting() { sed -n "s/^$1=//p" "$here/.env"; }
    chown -R "$(setting KONTOR_UID):$(setting KONTOR_GID)" "$secrets"
fi

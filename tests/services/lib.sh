# What the cases share: the services, a configuration, and checks that count. Sourced, not run.
#
# From `run`: ROOT, BIN, VENV, WORK (a temporary directory), ENDPOINT, RESULTS.

set -Eeuo pipefail

# What ends a case before its end says where; stderr of the case is the log.
trap 'printf "          %s, line %s: exit %s of: %s\n" "${BASH_SOURCE[0]##*/}" "$LINENO" "$?" "$BASH_COMMAND" >&2' ERR

say() { printf '%s %s\n' "$(date +%H:%M:%S)" "$*"; }

# The AWS environment that LocalStack expects, and nothing of the caller's.
aws_environment() {
    local name
    for name in $(compgen -e | grep '^AWS_' || true); do unset "$name"; done
    export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_DEFAULT_REGION=us-east-1
    export AWS_EC2_METADATA_DISABLED=true AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null
    unset HTTP_PROXY HTTPS_PROXY ALL_PROXY http_proxy https_proxy all_proxy DBBACKUP_CONFIG
}

tool() { "$VENV/bin/python" "$ROOT/tests/services/tool.py" "$@"; }

aws() { "$VENV/bin/aws" --endpoint-url "$ENDPOINT" "$@"; }

# --- checks ---------------------------------------------------------------------------------------

pass() {
    echo pass >>"$RESULTS"
    say "  ok      $1"
}

fail() {
    echo "fail ${CASE:+$CASE: }$1" >>"$RESULTS"
    say "  FAILED  $1"
    shift
    [ $# -eq 0 ] || printf '          %s\n' "$@"
}

# check NAME COMMAND…: passes where the command succeeds; shows the end of its output where not.
check() {
    local name=$1 output
    shift
    if output=$("$@" 2>&1); then pass "$name"; else fail "$name" "$*" "$(tail -n 20 <<<"$output")"; fi
}

# same NAME EXPECTED ACTUAL: compares two texts and shows the difference.
same() {
    if [ "$2" == "$3" ]; then
        pass "$1"
    else
        fail "$1" "expected (-) and seen (+):" "$(diff -u <(echo "$2") <(echo "$3") | tail -n +4 | head -n 40 || true)"
    fi
}

# exits CODE NAME COMMAND…: what the command printed is in $WORK/out and $WORK/err afterwards.
exits() {
    local wanted=$1 name=$2 code=0
    shift 2
    "$@" >"$WORK/out" 2>"$WORK/err" </dev/null || code=$?
    if [ "$code" -eq "$wanted" ]; then
        pass "$name (exit $code)"
    else
        fail "$name" "exit $code, not $wanted: $*" "$(tail -n 20 "$WORK/out" "$WORK/err")"
    fi
}

# says NAME PATTERN: the last command of `exits` said it, on stdout or stderr.
says() {
    if grep -qE -- "$2" "$WORK/out" "$WORK/err"; then
        pass "$1"
    else
        fail "$1" "nothing matches: $2" "$(tail -n 20 "$WORK/out" "$WORK/err")"
    fi
}

# --- services -------------------------------------------------------------------------------------

# stop PID SECONDS: ends a service and waits; one that does not end in that time is killed.
stop() {
    kill "$1" 2>/dev/null || return 0
    local _
    for _ in $(seq $(($2 * 5))); do
        kill -0 "$1" 2>/dev/null || break
        sleep 0.2
    done
    kill -9 "$1" 2>/dev/null || true
    wait "$1" 2>/dev/null || true
}

# start_localstack DIR: sets ENDPOINT and LOCALSTACK_PID. All it writes is below DIR.
start_localstack() {
    local dir=$1 port try
    for try in 1 2 3; do
        port=$(tool free_port)
        rm -rf "$dir"
        mkdir -p "$dir/tmp"
        (
            # Objects are kept below TMPDIR, the rest below FILESYSTEM_ROOT. Without hypercorn it
            # would listen on every interface.
            export TMPDIR=$dir/tmp FILESYSTEM_ROOT=$dir/root LOCALSTACK_VOLUME_DIR=$dir/volume
            export SERVICES=s3 EAGER_SERVICE_LOADING=1 GATEWAY_SERVER=hypercorn GATEWAY_LISTEN=127.0.0.1:$port
            export S3_SKIP_SIGNATURE_VALIDATION=0 DNS_ADDRESS=0 SKIP_SSL_CERT_DOWNLOAD=1 DISABLE_EVENTS=1
            exec "$VENV/bin/python" -m localstack.runtime.main
        ) >"$dir/log" 2>&1 </dev/null &
        LOCALSTACK_PID=$!
        ENDPOINT=http://127.0.0.1:$port
        if tool wait_http "$ENDPOINT/_localstack/health" 60; then
            export ENDPOINT LOCALSTACK_PID
            return 0
        fi
        say "LocalStack did not start (attempt $try):"
        tail -n 20 "$dir/log"
        stop "$LOCALSTACK_PID" 1
    done
    return 1
}

# start_mariadb DIR: a server of its own on a socket, no network; sets MARIADB_SOCKET and MARIADB_PID.
start_mariadb() {
    local dir=$1 user _
    user=$(id -un)
    # Without a directory for temporary tables of its own, one server removes those of another.
    mkdir -p "$dir/tmp"
    mariadb-install-db --no-defaults --user="$user" --datadir="$dir/data" --tmpdir="$dir/tmp" \
        --auth-root-authentication-method=normal --skip-test-db >"$dir/install.log" 2>&1 ||
        { cat "$dir/install.log"; return 1; }
    MARIADB_SOCKET=$dir/socket
    mariadbd --no-defaults --user="$user" --datadir="$dir/data" --tmpdir="$dir/tmp" --socket="$MARIADB_SOCKET" --skip-networking \
        --pid-file="$dir/pid" --innodb-flush-log-at-trx-commit=0 --max-allowed-packet=64M \
        >"$dir/log" 2>&1 </dev/null &
    MARIADB_PID=$!
    export MARIADB_SOCKET MARIADB_PID
    for _ in $(seq 150); do
        if sql -e 'select 1' >/dev/null 2>&1; then return 0; fi
        kill -0 "$MARIADB_PID" 2>/dev/null || break
        sleep 0.2
    done
    say 'MariaDB did not start:'
    tail -n 20 "$dir/log"
    return 1
}

sql() { mariadb --no-defaults --socket="$MARIADB_SOCKET" --user=root --default-character-set=utf8mb4 -N -B "$@"; }

# --- the program ----------------------------------------------------------------------------------

# configure DIR BUCKET [ENDPOINT]: writes DIR/config.toml for the sources below DIR/sources.
configure() {
    local dir=$1 bucket=$2 endpoint=${3:-$ENDPOINT}
    mkdir -p "$dir"/sources/{oracle,mysql,mssql}
    cat >"$dir/config.toml" <<CONFIG
[oracle]
source = "$dir/sources/oracle"
exclude = ["skiptothisfolder"]

[mysql]
source = "$dir/sources/mysql"
exclude = ["excluded-db"]

[mssql]
source = "$dir/sources/mssql"
exclude = ["api1/test"]

[s3]
bucket = "$bucket"
prefix = "backup"
region = "us-east-1"
endpoint_url = "$endpoint"
path_style = true
attempt_timeout = "60s"

[log]
dir = "$dir/log"

[state]
dir = "$dir/state"

[backup]
pauses = ["2s"]
# The folders of these cases are made as they run.
settle_time = "0s"
CONFIG
}

# slowed FILE: a copy of a configuration for runs that are to be caught in the middle of a file, which
# without it can be sent before the question for its parts is answered; prints its path.
slowed() {
    { cat "$1"; printf 'bandwidth = "200Mbit/s"\n'; } >"${1%.toml}-slowed.toml"
    echo "${1%.toml}-slowed.toml"
}

# LocalStack goes on reading from a connection that was cut, and locks up for good where the same part of
# the same upload comes again meanwhile ("seek of closed file"). S3 does not; so it is given time to notice.
localstack_notices() { sleep 5; }

# Every key of a bucket, as aws-cli lists them.
keys() { aws s3 ls --recursive "s3://$1" | sed -E 's/^[^ ]+ +[^ ]+ +[0-9]+ //' | LC_ALL=C sort; }

# The keys that are backups, not records.
data_keys() { keys "$1" | grep -vE '^backup/(_catalog|_runs)/' || true; }

# Every object's identity apart from the run records: changes where anything is written over.
fingerprint() {
    aws s3api list-objects-v2 --bucket "$1" --query 'Contents[].[Key,ETag,LastModified]' --output text |
        grep -v '^backup/_runs/' | LC_ALL=C sort
}

# unfinished BUCKET: how many multipart uploads are open.
unfinished() { aws s3api list-multipart-uploads --bucket "$1" --query 'length(Uploads || `[]`)' --output text; }

# sql_file PATH MIB: a file of the form of a dump, about so large, that does not compress to nothing.
sql_file() {
    mkdir -p "$(dirname "$1")"
    {
        echo '-- MariaDB dump 10.19  Distrib 10.11.6-MariaDB, for debian-linux-gnu (x86_64)'
        echo '--'
        head -c "$(($2 * 1048576 * 7 / 10))" /dev/urandom | base64 -w 96 | sed 's/^/-- /'
        echo '-- Dump completed on 2025-08-18  1:02:03'
    } >"$1"
}

# Each exit code of the README, brought about on a real server.

# shellcheck source=lib.sh
. "$ROOT/tests/services/lib.sh"

home=$WORK/$CASE
bucket=exit-codes
src=$home/sources
configure "$home" "$bucket"
export DBBACKUP_CONFIG=$home/config.toml
aws s3 mb "s3://$bucket" >/dev/null
day=2025-08-18

# variant NAME SED-SCRIPT: a copy of the configuration with one thing changed; prints its path.
variant() {
    sed -E "$2" "$home/config.toml" >"$home/$1.toml"
    echo "$home/$1.toml"
}

say '  2: wrong command line or configuration'
exits 2 'a configuration that is not there' "$BIN" all --config "$home/nowhere.toml"
says 'it is named' 'nowhere\.toml'
exits 2 'an unknown key' "$BIN" all --config "$(variant unknown 's/^prefix/prefiks/')"
says 'the key is named with its line' 'unknown\.toml:[0-9]+.*prefiks|prefiks.*unknown\.toml:[0-9]+'
exits 2 'a secret in the file' "$BIN" all --config "$(variant secret 's/^region.*/&\nsecret_access_key = "Zm9vYmFyYmF6"/')"
same 'the secret is not repeated' '' "$(grep -h Zm9vYmFyYmF6 "$WORK/out" "$WORK/err" || true)"
exits 2 'a date that is none' "$BIN" all --date 2025-02-30
exits 2 'a target that is none' "$BIN" postgres
same 'nothing was sent' '' "$(keys "$bucket")"

say '  3: nothing found'
exits 3 'a day without backups' "$BIN" all --date "$day"
says 'it says so as the script did' 'No backups were uploaded to S3\.'
check 'the log says so too' grep -rq 'No backups were uploaded to S3\.' "$home/log"

sql_file "$src/mysql/shop/shop_20250818.sql" 1

say '  5: no bucket'
exits 5 'a bucket that is not there' "$BIN" all --date "$day" --config "$(variant nobucket "s/^bucket.*/bucket = \"$bucket-nowhere\"/")"
says 'the bucket is named' "$bucket-nowhere"
closed=http://127.0.0.1:$(tool free_port)
exits 5 'an endpoint where nobody listens' "$BIN" all --date "$day" --config "$(variant noserver "s|^endpoint_url.*|endpoint_url = \"$closed\"|")"
exits 5 'no credentials' env -u AWS_ACCESS_KEY_ID -u AWS_SECRET_ACCESS_KEY HOME="$home" "$BIN" all --date "$day"
exits 5 'list without a bucket' "$BIN" list --config "$home/nobucket.toml"
same 'nothing was sent' '' "$(data_keys "$bucket")"

say '  0 and 1'
exits 0 'a backup that goes through' "$BIN" all --date "$day"
exits 1 'an engine asked for by name whose source is missing' "$BIN" mssql --date "$day" --config "$(variant nosource 's|^source = "(.*)/mssql"|source = "\1/nowhere"|')"
says 'the source is named' '/nowhere'
before=$(fingerprint "$bucket")
echo '-- Dump completed on 2025-08-18  9:09:09' >>"$src/mysql/shop/shop_20250818.sql"
sql_file "$src/mysql/shop/second_20250818.sql" 1
exits 1 'other content under a key that is taken' "$BIN" all --date "$day"
says 'it is refused by name' 'shop_20250818\.sql'
same 'the object is as it was' "$before" "$(fingerprint "$bucket" | grep -v second_20250818)"
same 'its neighbour was sent all the same' backup/mysql/shop/weekly/second_20250818.sql "$(data_keys "$bucket" | grep second)"
exits 2 '--replace on a bucket without versions' "$BIN" all --date "$day" --replace
exits 1 'a key that is not there' "$BIN" restore mysql/shop/weekly/never_20250818.sql --to "$home/back"

say '  4: another run holds the lock'
sql_file "$src/mysql/big/big_20250825.sql" 200
big=backup/mysql/big/monthly/big_20250825.sql
# begin: a run in the background that has sent two parts more of the large file; sets running.
begin() {
    local before
    before=$(tool parts "$bucket" "$big")
    "$BIN" mysql --date 2025-08-25 --config "$(slowed "$home/config.toml")" >"$WORK/first" 2>&1 </dev/null &
    running=$!
    tool wait_parts "$bucket" "$big" $((before + 2)) 60 >/dev/null ||
        fail 'a large upload is under way' "$(tail -n 20 "$WORK/first")"
}
# ended CODE NAME: the background run ends so within ten seconds of now.
ended() {
    local code=0 start=$SECONDS
    wait "$running" || code=$?
    if [ "$code" -eq "$1" ]; then pass "$2 (exit $code)"; else fail "$2" "exit $code, not $1" "$(tail -n 20 "$WORK/first")"; fi
    [ "$1" -eq 0 ] || check "$2 within ten seconds" test $((SECONDS - start)) -le 10
    localstack_notices
}
begin
exits 4 'a second run at the same time' "$BIN" all --date "$day"
says 'it says who holds the lock' "\\b$running\\b"

say '  130 and 143: interrupted'
kill -TERM "$running"
ended 143 'SIGTERM in mid-upload'
same 'the file that was cut off is no object' '' "$(data_keys "$bucket" | grep big_ || true)"
begin
kill -INT "$running"
ended 130 'SIGINT in mid-upload'
exits 0 'the lock is free again, and the next run completes it' "$BIN" mysql --date 2025-08-25
same 'the large file is there' "$big" "$(data_keys "$bucket" | grep big_ || true)"
exits 0 'it restores' "$BIN" restore mysql/big/monthly/big_20250825.sql --to "$home/back"
check 'it equals the source' cmp "$src/mysql/big/big_20250825.sql" "$home/back/big_20250825.sql"

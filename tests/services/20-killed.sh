# kill -9 in the middle of an upload: what was half sent is not a backup, and the next run completes it.

# shellcheck source=lib.sh
. "$ROOT/tests/services/lib.sh"

home=$WORK/$CASE
bucket=killed
src=$home/sources
configure "$home" "$bucket"
export DBBACKUP_CONFIG=$home/config.toml
aws s3 mb "s3://$bucket" >/dev/null

# killed_during KEY DATE PARTS NAME: a run of the date is killed once S3 has so many parts of the key.
killed_during() {
    local pid parts code=0
    "$BIN" all --date "$2" --config "$(slowed "$home/config.toml")" >"$WORK/out" 2>"$WORK/err" </dev/null &
    pid=$!
    if parts=$(tool wait_parts "$bucket" "$1" "$3" 60); then
        kill -9 "$pid" 2>/dev/null || true
        say "  killed with $parts parts sent"
    fi
    # Without the shell's own line about the kill.
    wait "$pid" 2>/dev/null || code=$?
    localstack_notices
    if [ "$code" -eq 137 ]; then pass "$4"; else fail "$4" "exit $code" "$(tail -n 20 "$WORK/err")"; fi
}

sets() { "$BIN" list --json | tool sets | cut -f1 | sort; }

file=mysql/shop/weekly/shop_20250818.sql
sql_file "$src/mysql/shop/shop_20250818.sql" 300
killed_during "backup/$file" 2025-08-18 3 'a run dies in the middle of a large file'
same 'the file that was cut off is not listed' '' "$(sets)"
same 'the file that was cut off is no object' '' "$(data_keys "$bucket")"
exits 0 'the next run ends well' "$BIN" all --date 2025-08-18
same 'the next run completes the file' "$file" "$(sets)"
same 'no upload is left unfinished' 0 "$(unfinished "$bucket")"
exits 0 'the file restores' "$BIN" restore "$file" --to "$home/back"
check 'the restored file equals the source' cmp "$src/mysql/shop/shop_20250818.sql" "$home/back/shop_20250818.sql"
rm -rf "$home/back" "$src/mysql/shop"

folder=oracle/erp/monthly/rman_full_25-08-2025
pieces=$src/oracle/erp/rman_full_25-08-2025
mkdir -p "$pieces"
for piece in $(seq 20); do head -c 20000 /dev/urandom >"$pieces/0a$piece-1_1_1"; done
head -c 150M /dev/urandom >"$pieces/zz_data_1_1"
killed_during "backup/$folder/zz_data_1_1" 2025-08-25 2 'a run dies in the middle of a folder'
say "  $(data_keys "$bucket" | grep -c "^backup/$folder/" || true) of 21 files were in the bucket"
same 'the folder that was cut off is not listed' "$file" "$(sets)"
exits 1 'the folder that was cut off does not restore' "$BIN" restore "$folder" --to "$home/half"
same 'nothing of it was written' '' "$(find "$home/half" -type f 2>/dev/null)"
exits 0 'the next run ends well' "$BIN" all --date 2025-08-25
same 'the next run completes the folder' "$file
$folder" "$(sets)"
same 'no upload is left unfinished' 0 "$(unfinished "$bucket")"
exits 0 'the folder restores' "$BIN" restore "$folder" --to "$home/back"
check 'the restored folder equals the source' diff -r "$pieces" "$home/back/rman_full_25-08-2025"

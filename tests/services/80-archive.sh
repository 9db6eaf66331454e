# Sets that lie in GLACIER, as another program or a lifecycle rule put them there: told, retrieved, restored.
# LocalStack retrieves at once; what takes hours is for the embedded server's tests.

# shellcheck source=lib.sh
. "$ROOT/tests/services/lib.sh"

home=$WORK/$CASE
bucket=archive
src=$home/sources
configure "$home" "$bucket"
export DBBACKUP_CONFIG=$home/config.toml
aws s3 mb "s3://$bucket" >/dev/null

file=mysql/shop/weekly/shop_20250818.sql
folder=oracle/erp/weekly/rman_full_18-08-2025
sql_file "$src/mysql/shop/shop_20250818.sql" 12
mkdir -p "$src/oracle/erp/rman_full_18-08-2025"
for piece in 1 2 3 4 5; do head -c 200000 /dev/urandom >"$src/oracle/erp/rman_full_18-08-2025/0a${piece}_1_1"; done
exits 0 'the sets are sent' "$BIN" all --date 2025-08-18

# to_class CLASS PREFIX: what a lifecycle rule does to the objects below a prefix.
to_class() {
    local key
    for key in $(data_keys "$bucket" | grep "^$2"); do
        aws s3 cp --quiet --storage-class "$1" "s3://$bucket/$key" "s3://$bucket/$key"
    done
}
class_of() { aws s3api head-object --bucket "$bucket" --key "$1" --query StorageClass --output text; }
to_class GLACIER backup/mysql/
to_class DEEP_ARCHIVE "backup/$folder/0a1"
same 'the file is in GLACIER' GLACIER "$(class_of "backup/$file")"

say '  without --wait'
exits 1 'the file is not restored' "$BIN" restore "$file" --to "$home/back"
says 'the class is named' 'are? in GLACIER|is in GLACIER'
says 'and what to give' 'restore mysql/shop/weekly/shop_20250818\.sql --wait'
says 'and the price with its date' 'about .*list prices of us-east-1'
same 'nothing was written' '' "$(find "$home/back" -type f 2>/dev/null)"
exits 1 'nor does it go into a pipe' "$BIN" restore "$file" --stdout

say '  with --wait'
exits 2 'a deep archive has no expedited retrieval' "$BIN" restore "$folder" --to "$home/back" --wait --tier expedited
exits 0 'the file is retrieved and restored' "$BIN" restore "$file" --to "$home/back" --wait --tier bulk --days 2
says 'it says what was asked for' '\[RETRIEVE\].* bulk retrieval'
check 'the file equals the source' cmp "$src/mysql/shop/shop_20250818.sql" "$home/back/shop_20250818.sql"
same 'its copy is there for a while' 'ongoing-request="false"' \
    "$(aws s3api head-object --bucket "$bucket" --key "backup/$file" --query Restore --output text | cut -d, -f1)"
exits 0 'the folder with one archived file is retrieved and restored' \
    "$BIN" restore "$folder" --to "$home/back" --wait
says 'one object of five was asked for' '1 object .*is in DEEP_ARCHIVE'
check 'the folder equals the source' \
    diff -r "$src/oracle/erp/rman_full_18-08-2025" "$home/back/rman_full_18-08-2025"

say '  a class that is read at once'
to_class GLACIER_IR backup/mysql/
rm "$home/back/shop_20250818.sql"
exits 0 'needs no --wait' "$BIN" restore "$file" --to "$home/back"

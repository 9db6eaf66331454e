# Only whole backups go, and what is missing shows: real dumps, cut and whole, a week off, an old tree.

# shellcheck source=lib.sh
. "$ROOT/tests/services/lib.sh"

home=$WORK/$CASE
bucket=whole
src=$home/sources
configure "$home" "$bucket"
aws s3 mb "s3://$bucket" >/dev/null
day=2025-08-18

sql <<'SQL'
drop database if exists ledger;
create database ledger;
use ledger;
create table entries (id int primary key auto_increment, what varchar(80));
insert into entries (what) select concat(md5(seq), sha1(seq)) from seq_1_to_4000;
SQL
dump() { mariadb-dump --no-defaults --socket="$MARIADB_SOCKET" --user=root "$@" ledger; }
mkdir -p "$src/mysql/ledger" "$src/mysql/folder"
# verdict KEY: what the manifest says of a set.
verdict() { "$BIN" show "$1" --json --config "$home/config.toml" | tool get manifest inspection verdict; }

say '  dumps of every kind, one of them cut at 60 %'
dump >"$src/mysql/ledger/plain_20250818.sql"
dump --skip-dump-date >"$src/mysql/ledger/undated_20250818.sql"
dump --compact >"$src/mysql/ledger/compact_20250818.sql"
for codec in gzip:gz zstd:zst xz:xz bzip2:bz2; do
    dump | "${codec%%:*}" -c >"$src/mysql/ledger/packed_20250818.sql.${codec#*:}"
done
head -c "$(($(stat -c %s "$src/mysql/ledger/plain_20250818.sql") * 60 / 100))" \
    "$src/mysql/ledger/plain_20250818.sql" >"$src/mysql/ledger/cut_20250818.sql"
exits 1 'the run ends with 1' "$BIN" all --date "$day" --config "$home/config.toml"
says 'it names the dump and the reason' '\[REFUSED\] mysql/ledger/weekly/cut_20250818\.sql: cut short: its header is there'
same 'its neighbours are sent' 7 "$(data_keys "$bucket" | wc -l)"
same 'it is not' '' "$(data_keys "$bucket" | grep cut || true)"
for name in plain_20250818.sql undated_20250818.sql packed_20250818.sql.{gz,zst,xz,bz2}; do
    same "$name is whole" whole "$(verdict "mysql/ledger/weekly/$name")"
done
same 'what has no trailer is not judged' not-judged "$(verdict mysql/ledger/weekly/compact_20250818.sql)"
rm "$src/mysql/ledger/cut_20250818.sql"

say '  a directory of mydumper, whole and stopped'
mydumper --socket "$MARIADB_SOCKET" --user root --database ledger --outputdir "$src/mysql/folder/export-20250818-010003" \
    >"$WORK/out" 2>&1
exits 0 'it is one set' "$BIN" all --date "$day" --config "$home/config.toml"
# Its metadata lists no files, so that a copy of it may be cut.
same 'and is not judged' not-judged "$(verdict mysql/folder/weekly/export-20250818-010003)"
exits 0 'it comes back' "$BIN" restore mysql/folder/weekly/export-20250818-010003 --to "$home/out" --config "$home/config.toml"
same 'with every file' '' "$(diff -r "$src/mysql/folder/export-20250818-010003" "$home/out/export-20250818-010003" 2>&1)"
cp -a "$src/mysql/folder/export-20250818-010003" "$src/mysql/folder/export-20250818-020003"
rm "$src/mysql/folder/export-20250818-020003/metadata"
exits 1 'one without its end marker is refused' "$BIN" all --date "$day" --config "$home/config.toml"
says 'and says why' 'export-20250818-020003: cut short: .metadata., which mydumper writes last, is missing'
rm -r "$src/mysql/folder/export-20250818-020003"

say '  a server that was off for a week'
for back in 1 2 3 4 5 6 7; do
    mkdir -p "$src/mysql/week"
    dump >"$src/mysql/week/week_$(date -d "-$back days" +%Y%m%d).sql"
done
exits 0 'catches up' "$BIN" mysql --catch-up --config "$home/config.toml"
same 'with every day' 7 "$(data_keys "$bucket" | grep -c /week/)"

say '  an app that is expected and missing'
cat >>"$home/config.toml" <<'EXPECT'

[[expect]]
engine = "mysql"
app = "payroll"
schedule = "daily"

[[expect]]
engine = "mysql"
app = "week"
schedule = "daily"
EXPECT
exits 1 'status is red' "$BIN" status --config "$home/config.toml"
says 'for that app' '^ mysql/payroll .*CRITICAL|mysql/payroll: there is no good backup'
exits 2 'critical for Nagios' "$BIN" status --nagios --config "$home/config.toml"
exits 1 'the run says whose fault it is' "$BIN" mysql --config "$home/config.toml"
says 'the source made none' 'payroll'

say '  an old tree with a dump that was cut'
aws s3 mb s3://oldtree >/dev/null
sed -i 's/^bucket = .*/bucket = "oldtree"/' "$home/config.toml"
head -c 20000 "$src/mysql/ledger/plain_20250818.sql" |
    aws s3 cp --quiet - s3://oldtree/backup/mysql/ledger/weekly/cut_20250818.sql
aws s3 cp --quiet "$src/mysql/ledger/packed_20250818.sql.zst" s3://oldtree/backup/mysql/ledger/weekly/packed_20250818.sql.zst
exits 1 'both are adopted, and one is called what it is' "$BIN" adopt --config "$home/config.toml"
says 'by name' '\[CUT SHORT\] mysql/ledger/weekly/cut_20250818\.sql'
same 'it is marked' cut-short "$(verdict mysql/ledger/weekly/cut_20250818.sql)"
same 'the other is whole' whole "$(verdict mysql/ledger/weekly/packed_20250818.sql.zst)"

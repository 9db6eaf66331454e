# A drill loads real dumps into a real server, from cron's environment, and leaves nothing behind.

# shellcheck source=lib.sh
. "$ROOT/tests/services/lib.sh"

home=$WORK/$CASE
bucket=drill
src=$home/sources
configure "$home" "$bucket"
aws s3 mb "s3://$bucket" >/dev/null
day=2025-08-18

# from_cron WORD…: the program with nothing of this shell's environment but the credentials.
from_cron() {
    env -i AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_EC2_METADATA_DISABLED=true \
        "$BIN" "$@" --config "$home/config.toml"
}

sql <<'SQL'
-- The other cases have one of that name.
drop database if exists shop;
create database shop;
use shop;
create table orders (id int primary key auto_increment, what varchar(40), paid decimal(8,2));
insert into orders (what, paid) select concat('thing ', seq), seq / 7 from seq_1_to_5000;
create table `odd ``name` (id int primary key) engine=MyISAM;
insert into `odd ``name` values (1), (2);
create view paid as select sum(paid) as total from orders;
SQL
mkdir -p "$src/mysql"/{shop,everything,broken}
dump() { mariadb-dump --no-defaults --socket="$MARIADB_SOCKET" --user=root "$@"; }
dump shop >"$src/mysql/shop/shop_20250818.sql"
dump --all-databases | gzip >"$src/mysql/everything/all_20250818.sql.gz"
dump shop | sed 's/^INSERT INTO `orders`/INSERT INTO `orderz`/' >"$src/mysql/broken/broken_20250818.sql"
# slow SECONDS: a dump that takes so long to load.
slow() { dump shop | sed "/^-- Dump completed/i select sleep($1);"; }
mkdir "$src/mysql/slow"
slow 2 >"$src/mysql/slow/slow_20250818.sql"
exits 0 'the dumps are sent' from_cron all --date "$day"

say '  a dump that loads'
# A server that starts removes such files from its directory for temporary tables, which is /tmp unless told.
others=/tmp/#sql-temptable-$$-0-0.MAI
touch "$others"
exits 0 'the drill passes' from_cron drill mysql/shop
check "a temporary table of the host's own server is left alone" rm "$others"
says 'it says how many rows there were' '2 tables checked, 5002 rows'
exits 0 'show knows it' from_cron show mysql/shop/weekly/shop_20250818.sql
says 'as restored' '^Proof +restored'
says 'with its minutes and rows' 'restored on .* min, 2 tables, 5002 rows'

say '  a compressed dump of all databases, with the accounts of its server'
exits 0 'the drill passes' from_cron drill mysql/everything
says 'it is restored' 'is restored'

say '  a dump that loads with an error'
exits 1 'the drill fails' from_cron drill mysql/broken
says 'with the statement that failed' 'broken_20250818\.sql: the dump does not load: ERROR .*orderz'
same 'and without the data in it' '' "$(grep -h 'thing 5000' "$WORK/out" "$WORK/err" || true)"
same 'that is recorded, and no proof' 'failed' \
    "$(keys "$bucket" | grep -E 'broken.*proof-' | sed -E 's/.*-([a-z]+)\.json$/\1/' | sort -u)"
exits 1 'status knows it' from_cron status
says 'by name' 'the last drill, of mysql/broken/weekly/broken_20250818\.sql on .* failed'

say '  a restore that takes too long'
printf '\n[drill]\nrto = "1s"\n' >>"$home/config.toml"
exits 1 'the drill says so' from_cron drill mysql/slow
says 'with both times' 'rto allows 0\.0'

say '  a drill that is interrupted'
slow 60 >"$src/mysql/shop/slow_20250819.sql"
exits 0 'a dump that takes a minute is sent' from_cron all --date 2025-08-19
env -i AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test "$BIN" drill mysql/shop --config "$home/config.toml" \
    >"$WORK/out" 2>"$WORK/err" &
drill=$!
for _ in $(seq 100); do
    [ -z "$(find "$home"/state -path '*drill-*/db/s' 2>/dev/null)" ] || break
    sleep 0.1
done
kill -TERM "$drill"
code=0
wait "$drill" || code=$?
same 'it ends as interrupted' 143 "$code"
rm "$src/mysql/shop/slow_20250819.sql"

same 'nothing is left on the disk' '' "$(find "$home/state" -name 'drill-*')"
same 'no server is left running' '' "$(pgrep -f "$home/state/drill-" || true)"

say '  a tree that aws s3 cp had sent'
aws s3 mb s3://adopt >/dev/null
sed -i -e 's/^bucket = .*/bucket = "adopt"/' -e '/^\[drill\]/,$d' "$home/config.toml"
aws s3 cp --quiet "$src/mysql/shop/shop_20250818.sql" s3://adopt/backup/mysql/shop/weekly/shop_20250818.sql
exits 0 'it is adopted' from_cron adopt
exits 0 'verify --reread finds it good' from_cron verify --reread
says 'and records that' '1 of 1 sets are good.*1 proofs recorded'
exits 0 'it restores in the end' from_cron drill mysql/shop
says 'with every row' '5002 rows'

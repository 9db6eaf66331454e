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
create event nightly on schedule every 1 day do delete from orders where paid < 0;
-- Accounts by plugins, one of which this server has not.
create user if not exists 'socket'@'localhost' identified via unix_socket;
replace into mysql.global_priv values ('localhost', 'ed', '{"plugin":"ed25519","authentication_string":"x"}');
SQL
mkdir -p "$src/mysql"/{shop,everything,broken}
dump() { mariadb-dump --no-defaults --socket="$MARIADB_SOCKET" --user=root "$@"; }
dump shop >"$src/mysql/shop/shop_20250818.sql"
dump --all-databases --events --routines | gzip >"$src/mysql/everything/all_20250818.sql.gz"
dump shop | sed 's/^INSERT INTO `orders`/INSERT INTO `orderz`/' >"$src/mysql/broken/broken_20250818.sql"
# slow SECONDS: a dump that takes so long to load.
slow() { dump shop | sed "/^-- Dump completed/i select sleep($1);"; }
mkdir "$src/mysql/slow"
slow 2 >"$src/mysql/slow/slow_20250818.sql"
# hostile APP: the statements on standard input as a dump of one table.
hostile() {
    mkdir "$src/mysql/$1"
    { dump shop orders | sed '/^-- Dump completed/,$d'; cat; dump shop orders | tail -n 1; } \
        >"$src/mysql/$1/$1_20250818.sql"
}
fast=$home/fast
mkdir -m 777 "$fast"
hostile elsewhere <<SQL
create table i (id int primary key) engine=InnoDB data directory='$fast';
create table m (id int primary key) engine=MyISAM data directory='$fast/' index directory='$fast/';
create table a (id int primary key) engine=Aria data directory='$fast/';
create table p (id int) engine=MyISAM partition by range (id) (
  partition p0 values less than (10), partition p1 values less than (20) data directory='$fast');
create table q (id int) engine=InnoDB partition by range (id) (
  partition p0 values less than (10), partition p1 values less than (20) data directory='$fast');
insert into i values (1); insert into m values (1); insert into a values (1); insert into p values (11);
insert into q values (11);
SQL
hostile plugin <<<"install soname 'ha_federatedx';"
mkdir "$home/etc"
hostile logging <<SQL
set global general_log_file='$home/etc/evil';
set global general_log=on;
select 1;
SQL
port=$(tool free_port)
hostile follower <<SQL
change master to master_host='127.0.0.1', master_port=$port, master_user='u', master_password='x';
set global server_id=7;
start slave;
do sleep(2);
SQL
hostile huge <<<"create table huge (b longblob); insert into huge select repeat('x', 1000000) from seq_1_to_400;"
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

# on_a_disk MIB WORD…: from_cron, where the directory `disk` of the configuration in use is a disk of this size that
# is gone afterwards; what is left on it is in $WORK/left.
on_a_disk() {
    local mib=$1
    shift
    env -i AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_EC2_METADATA_DISABLED=true PATH="$PATH" \
        unshare -m sh -c 'mount -t tmpfs -o size="$1"m tmpfs "$2" || exit 99
            shift 2; left=$1; shift; code=0; "$@" || code=$?; ls -A "$disk" >"$left"; exit $code' \
        sh "$mib" "$home/disk" "$WORK/left" env disk="$home/disk" "$BIN" "$@" --config "$home/disk.toml"
}
failures() { keys "$bucket" | grep -c "$1.*-failed" || true; }

say '  a dump that reaches for what is not its own'
exits 0 'tables that are placed elsewhere come here' from_cron drill mysql/elsewhere
says 'all of them' '6 tables checked'
same 'and nothing goes there' '' "$(ls -A "$fast")"
exits 1 'a plugin is not loaded' from_cron drill mysql/plugin
says 'for there is none' 'ERROR 1126'
same 'which is not held against the backup' 0 "$(failures plugin)"
if [ "$(id -u)" -eq 0 ]; then
    exits 1 'no log is written elsewhere' from_cron drill mysql/logging
    same 'there is none' '' "$(ls -A "$home/etc")"
    same 'which is not held against the backup' 0 "$(failures logging)"
    "$VENV/bin/python" -c '
import socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
listener.settimeout(60)
listener.accept()
print("somebody came")' "$port" >"$WORK/came" 2>/dev/null &
    listener=$!
    exits 0 'a dump that follows another server loads' from_cron drill mysql/follower
    kill "$listener" 2>/dev/null || true
    wait "$listener" 2>/dev/null || true
    same 'and reaches nobody' '' "$(cat "$WORK/came")"

    say '  a host with PAM logins in its server'
    lib=$home/lib
    mkdir "$lib"
    pam=/usr/lib/mysql/plugin/auth_pam_tool_dir
    exits 0 'the drill passes' env -i PATH="$PATH" AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test \
        unshare -m sh -ec 'mount -t tmpfs tmpfs "$1"; mkdir "$1/up" "$1/work"
            mount -t overlay -o lowerdir=/usr/lib,upperdir="$1/up",workdir="$1/work" overlay /usr/lib
            mkdir -p "$2"; touch "$2/auth_pam_tool"; chown 4711 "$2"; chmod 750 "$2"
            "$3" drill mysql/shop --config "$4"; stat -c "owner %u mode %a" "$2"' \
        sh "$lib" "$pam" "$BIN" "$home/config.toml"
    says 'its helper stays whose it was' 'owner 4711 mode 750'

    say '  a disk that is shared with others'
    mkdir "$home/disk"
    { cat "$home/config.toml"; printf '\n[drill]\nscratch = "%s"\n' "$home/disk"; } >"$home/disk.toml"
    exits 1 'too little room is known before' on_a_disk 200 drill mysql/huge
    says 'with what is missing' 'the drill needs .* stay free for others; it has .* too few; make room'
    exits 1 'a load that takes more than was thought is stopped' on_a_disk 500 drill mysql/huge
    says 'before the disk is full' 'stopped, and its directory removed: .* free, of which 50.* are for others'
    same 'nothing is left on it' '' "$(cat "$WORK/left")"
    same 'none of which is held against the backup' 0 "$(failures huge)"
fi

say '  a restore that takes too long'
printf '\n[drill]\nrto = "1s"\n' >>"$home/config.toml"
exits 1 'the drill says so' from_cron drill mysql/slow
says 'with both times' 'rto allows 0\.0'

say '  a load that stands still'
slow 60 >"$src/mysql/shop/slow_20250819.sql"
exits 0 'a dump that takes a minute is sent' from_cron all --date 2025-08-19
{ cat "$home/config.toml"; echo 'timeout = "3s"'; } >"$home/timeout.toml"
exits 1 'it is given up' env -i AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test \
    "$BIN" drill mysql/shop --config "$home/timeout.toml"
says 'after its time' 'did not end within 3s: given up'
same 'which is not held against the backup' 0 "$(failures slow)"

# begin: a drill of that dump in the background, up to its server's answer; sets `drill` and `server`.
begin() {
    env -i AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test "$BIN" drill mysql/shop --config "$home/config.toml" \
        >"$WORK/out" 2>"$WORK/err" &
    drill=$!
    server=''
    for _ in $(seq 300); do
        server=$(cat "$home"/state/drill-*/db/pid 2>/dev/null || true)
        [ -z "$server" ] || break
        sleep 0.1
    done
    # The client has the dump by then.
    sleep 1
}
# gone: no program of a drill is left within ten seconds.
gone() {
    for _ in $(seq 100); do
        pgrep -f "$home/state/drill-" >/dev/null || return 0
        sleep 0.1
    done
    pgrep -af "$home/state/drill-"
    return 1
}
# Sets code; not in a shell below, whose child it is not.
ended() { code=0; wait "$drill" || code=$?; }

say '  a drill that is interrupted'
begin
check 'its server is last where memory is short' grep -qx 1000 "/proc/$server/oom_score_adj"
same 'and behind others at the processor' 10 "$(ps -o ni= -p "$server" | tr -d ' ')"
if [ "$(id -u)" -eq 0 ]; then
    same 'it is nobody' 65534 "$(ps -o uid= -p "$server" | tr -d ' ')"
    check 'and gets no rights back' grep -qE '^NoNewPrivs:\s1$' "/proc/$server/status"
    check 'nor has it any' grep -qE '^CapPrm:\s0+$' "/proc/$server/status"
    check 'nor a network' test "$(readlink "/proc/$server/ns/net")" != "$(readlink /proc/self/ns/net)"
fi
kill -TERM "$drill"
ended
same 'it ends as interrupted' 143 "$code"
check 'no server is left' gone
begin
kill -HUP "$drill"
ended
same 'a terminal that is gone ends it too' 129 "$code"
check 'no server is left' gone
same 'and no directory' '' "$(find "$home/state" -name 'drill-*')"
begin
kill -KILL "$drill"
ended
same 'killed, it ends at once' 137 "$code"
check 'and its server with it' gone
rm "$src/mysql/shop/slow_20250819.sql"
exits 1 'the next drill' from_cron drill mysql/slow
says 'removes what it left' 'drill-.* removed: its drill was killed'

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

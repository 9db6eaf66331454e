# A real database, dumped, sent, listed, restored on another host and loaded again; and the same
# backup read back without dbbackup.

# shellcheck source=lib.sh
. "$ROOT/tests/services/lib.sh"

home=$WORK/$CASE
bucket=round-trip
src=$home/sources
configure "$home" "$bucket"
export DBBACKUP_CONFIG=$home/config.toml
aws s3 mb "s3://$bucket" >/dev/null

say '  filling a database'
sql <<'SQL'
CREATE DATABASE shop CHARACTER SET utf8mb4;
USE shop;
CREATE TABLE customers (
  id INT UNSIGNED PRIMARY KEY, name VARCHAR(80) NOT NULL, balance DECIMAL(20,6) NOT NULL, born DATE NULL,
  note TEXT NULL, KEY (name));
INSERT INTO customers SELECT seq,
  CONCAT(ELT(1 + seq % 6, 'Müller', 'O''Brien', 'Ωmega 😀', '山田', 'a\\b"c', 'tab\tand\nline'), ' ', seq),
  (seq * 7919 % 1000003) / 997 - 500, IF(seq % 11 = 0, NULL, '1950-01-01' + INTERVAL seq % 20000 DAY),
  IF(seq % 5 = 0, NULL, REPEAT(CONCAT('-- Dump completed? no; ', seq, ' 100 % %20+'), 1 + seq % 3))
  FROM seq_1_to_100000;
CREATE TABLE orders (
  id BIGINT PRIMARY KEY, customer INT UNSIGNED NOT NULL, placed DATETIME(6) NOT NULL, total DECIMAL(14,2) NOT NULL,
  state ENUM('new', 'paid', 'sent', 'späte Zahlung') NOT NULL, gift BIT(1) NOT NULL, weight DOUBLE NULL,
  FOREIGN KEY (customer) REFERENCES customers (id));
INSERT INTO orders SELECT seq, 1 + seq * 31 % 100000, '2020-01-01' + INTERVAL seq * 37 MICROSECOND,
  seq % 100000 / 100, 1 + seq % 4, seq % 2, IF(seq % 7 = 0, NULL, seq / 3) FROM seq_1_to_250000;
CREATE TABLE documents (id INT PRIMARY KEY AUTO_INCREMENT, sha BINARY(32) NOT NULL, body LONGBLOB NOT NULL);
INSERT INTO documents (sha, body) SELECT UNHEX(SHA2(body, 256)), body
  FROM (SELECT CONCAT(RANDOM_BYTES(1024), UNHEX('000A0D1A27225C'), RANDOM_BYTES(1024)) AS body FROM seq_1_to_4000) AS made;
CREATE TABLE empty_one (id INT PRIMARY KEY);
CREATE TABLE `odd name; -- 1` (`ключ` VARCHAR(20) PRIMARY KEY, v JSON);
INSERT INTO `odd name; -- 1` VALUES ('один', '{"a": [1, 2.5, "😀"]}');
CREATE VIEW debtors AS SELECT id, name FROM customers WHERE balance < 0;
CREATE TRIGGER orders_total BEFORE INSERT ON orders FOR EACH ROW SET NEW.total = ROUND(NEW.total, 2);
SQL

# checksums DATABASE: CHECKSUM TABLE of every base table, and the names of views and triggers.
checksums() {
    local table
    sql -e "SELECT table_name FROM information_schema.tables WHERE table_schema = '$1' AND table_type = 'BASE TABLE' ORDER BY 1" |
        while IFS= read -r table; do
            sql "$1" -e "CHECKSUM TABLE \`$table\` EXTENDED" | cut -f2 | sed "s/^/$table /"
            sql "$1" -e "SELECT COUNT(*) FROM \`$table\`" | sed "s/^/$table rows /"
        done
    sql -e "SELECT CONCAT('view ', table_name) FROM information_schema.views WHERE table_schema = '$1' ORDER BY 1"
    sql -e "SELECT CONCAT('trigger ', trigger_name) FROM information_schema.triggers WHERE trigger_schema = '$1' ORDER BY 1"
}

dump() { mariadb-dump --no-defaults --socket="$MARIADB_SOCKET" --user=root --single-transaction --hex-blob --routines --triggers --default-character-set=utf8mb4 "$@"; }

before=$(checksums shop)
check 'the database has hundreds of thousands of rows' test "$(awk '$(NF-1) == "rows" { n += $NF } END { print n }' <<<"$before")" -gt 300000

mkdir -p "$src"/mysql/{shop,excluded-db,excluded-db2,'team a/crm'} "$src"/oracle/{erp,hr}
dump shop >"$src/mysql/shop/shop_20250818.sql"
dump shop customers | gzip -1 >"$src/mysql/team a/crm/customers+50%_2025-08-18_0100.sql.gz"
cp "$src/mysql/shop/shop_20250818.sql" "$src/mysql/excluded-db/hidden_20250818.sql"
# Only whole path components are excluded.
dump shop customers --where='id < 100' >"$src/mysql/excluded-db2/kept_20250818.sql"
cp "$src/mysql/shop/shop_20250818.sql" "$src/mysql/shop/other-day_20250817.sql"
echo 'no backup' >"$src/mysql/shop/readme_20250818.txt"
# Two RMAN folders of one name in two apps, with equal file names and other content; one is level 1.
for app in erp hr; do
    folder="$src/oracle/$app/rman_full_18-08-2025"
    mkdir -p "$folder/logs"
    for piece in 0a1b2c3d_1_1 0a1b2c3e_1_1 c-1234567890-20250818-00; do head -c 300000 /dev/urandom >"$folder/$piece"; done
    echo 'Recovery Manager complete.' >"$folder/logs/rman backup.log"
done
mkdir -p "$src/oracle/erp/rman_lv1_18-08-2025"
head -c 1000 /dev/urandom >"$src/oracle/erp/rman_lv1_18-08-2025/0a1b2c40_1_1"

say "  backing up $(du -sh "$src" | cut -f1)"
exits 0 'a dry run ends well' "$BIN" all --date 2025-08-18 --dry-run
same 'a dry run leaves the bucket empty' '' "$(keys "$bucket")"
exits 0 'a backup of a day ends well' "$BIN" all --date 2025-08-18
says 'the summary counts the sets' '^(.* )?5 backups uploaded to S3\.'

expected_sets="mysql/excluded-db2/weekly/kept_20250818.sql
mysql/shop/weekly/shop_20250818.sql
mysql/team a/crm/weekly/customers+50%_2025-08-18_0100.sql.gz
oracle/erp/weekly/rman_full_18-08-2025
oracle/hr/weekly/rman_full_18-08-2025"
expected_keys=$(
    for set in mysql/excluded-db2/weekly/kept_20250818.sql 'mysql/shop/weekly/shop_20250818.sql' 'mysql/team a/crm/weekly/customers+50%_2025-08-18_0100.sql.gz'; do
        echo "backup/$set"
    done
    for app in erp hr; do
        for file in 0a1b2c3d_1_1 0a1b2c3e_1_1 c-1234567890-20250818-00 'logs/rman backup.log'; do
            echo "backup/oracle/$app/weekly/rman_full_18-08-2025/$file"
        done
    done
)
same 'aws-cli sees exactly the keys of the design' "$expected_keys" "$(data_keys "$bucket")"
same 'each set has one manifest' "$(sed 's|.*|backup/_catalog/&/manifest.json|' <<<"$expected_sets")" \
    "$(keys "$bucket" | grep '^backup/_catalog/.*/manifest\.json$')"
same 'the run left one record, partitioned as Hive does' 1 \
    "$(keys "$bucket" | grep -cE '^backup/_runs/host=[^/]+/date=[0-9]{4}-[0-9]{2}-[0-9]{2}/[0-9TZ:.-]+-all\.json$')"
same 'nothing else is in the bucket' '' \
    "$(keys "$bucket" | grep '^backup/_' | grep -vE '/manifest\.json$|/proof-[^/]+\.json$|^backup/_runs/host=')"
same 'no upload is left unfinished' 0 "$(unfinished "$bucket")"

dump_key=backup/mysql/shop/weekly/shop_20250818.sql
head_of_dump=$(aws s3api head-object --bucket "$bucket" --key "$dump_key" --checksum-mode ENABLED --query '[ChecksumType,ChecksumCRC64NVME]' --output text || true)
same "S3's checksum of the whole dump is the one the AWS runtime computes" \
    "FULL_OBJECT	$(tool crc64nvme "$src/mysql/shop/shop_20250818.sql")" "$head_of_dump"
check 'the dump went in parts' grep -q -- '-[0-9]*"$' <<<"$(aws s3api head-object --bucket "$bucket" --key "$dump_key" --query ETag --output text)"

"$BIN" list --json >"$WORK/list.json"
same 'list names every set, stored' "$(sed 's/$/ stored/' <<<"$expected_sets")" "$(tool sets <"$WORK/list.json" | sort | awk -F '\t' '{ print $1 " " $6 }')"
same 'list counts files and bytes' \
    "2025-08-18 folder 4 $(find "$src/oracle/hr" -type f -printf '%s\n' | awk '{ n += $1 } END { print n }')" \
    "$(tool sets <"$WORK/list.json" | awk -F '\t' '/^oracle\/hr/ { print $2, $3, $4, $5 }')"
exits 0 'list of one app ends well' "$BIN" list mysql/shop
says 'list of one app shows its set' 'shop_20250818\.sql'
exits 0 'show ends well' "$BIN" show mysql/shop/weekly/shop_20250818.sql
says 'show says where the object is' "s3://$bucket/$dump_key"
echo 'by hand' | aws s3 cp - "s3://$bucket/backup/mysql/shop/weekly/by-hand_20250801.sql" >/dev/null
"$BIN" list --all --json >"$WORK/list.json"
same 'list --all names an object that has no manifest' mysql/shop/weekly/by-hand_20250801.sql "$(tool unproven <"$WORK/list.json")"
aws s3 rm "s3://$bucket/backup/mysql/shop/weekly/by-hand_20250801.sql" >/dev/null

say '  a second run'
before_second=$(fingerprint "$bucket")
exits 0 'a second run ends well' "$BIN" all --date 2025-08-18
same 'a second run writes nothing but its record' "$before_second" "$(fingerprint "$bucket")"
rm -rf "$home/state"
exits 0 'a run that lost its state ends well' "$BIN" all --date 2025-08-18
same 'a run that lost its state writes nothing but its record' "$before_second" "$(fingerprint "$bucket")"

say '  the bad day, on another host'
configure "$home/other-host" "$bucket"
export DBBACKUP_CONFIG=$home/other-host/config.toml
back=$home/restored
exits 0 'restore by key' "$BIN" restore mysql/shop/weekly/shop_20250818.sql --to "$back/file"
check 'the restored dump equals the one sent' cmp "$src/mysql/shop/shop_20250818.sql" "$back/file/shop_20250818.sql"
exits 0 'restore by URI' "$BIN" restore "s3://$bucket/backup/mysql/team a/crm/weekly/customers+50%_2025-08-18_0100.sql.gz" --to "$back/uri"
check 'an odd name comes back as it was' diff -r "$src/mysql/team a/crm" "$back/uri"
exits 0 'restore of a folder' "$BIN" restore oracle/erp/weekly/rman_full_18-08-2025 --to "$back/erp"
check 'the restored folder equals the one sent' diff -r "$src/oracle/erp/rman_full_18-08-2025" "$back/erp/rman_full_18-08-2025"
exits 0 'restore of the latest' "$BIN" restore --latest oracle/hr --to "$back/hr"
check 'the latest equals the one sent' diff -r "$src/oracle/hr/rman_full_18-08-2025" "$back/hr/rman_full_18-08-2025"
echo 'precious' >"$back/file/shop_20250818.sql"
exits 1 'restore refuses to overwrite' "$BIN" restore mysql/shop/weekly/shop_20250818.sql --to "$back/file"
same 'the file in the way is untouched' precious "$(cat "$back/file/shop_20250818.sql")"
same 'nothing partial is left' '' "$(find "$back" -name '*.partial*')"

sql -e 'CREATE DATABASE again CHARACTER SET utf8mb4'
if "$BIN" restore mysql/shop/weekly/shop_20250818.sql --stdout 2>"$WORK/err" | sql again; then
    pass 'restore --stdout loads into a fresh database'
else
    fail 'restore --stdout loads into a fresh database' "$(tail -n 20 "$WORK/err")"
fi
same 'CHECKSUM TABLE of every table is as it was' "$before" "$(checksums again)"
same 'every document is still its own SHA-256' 0 "$(sql again -e 'SELECT COUNT(*) FROM documents WHERE sha <> UNHEX(SHA2(body, 256))')"

say '  without dbbackup'
mkdir -p "$back/aws"
aws s3 cp "s3://$bucket/$dump_key" "$back/aws/dump.sql" --only-show-errors
same 'aws s3 cp alone gives the same SHA-256' "$(sha256sum <"$src/mysql/shop/shop_20250818.sql")" "$(sha256sum <"$back/aws/dump.sql")"
aws s3 cp --recursive "s3://$bucket/backup/oracle/erp/weekly/rman_full_18-08-2025/" "$back/aws/rman" --only-show-errors
check 'aws s3 cp alone brings a folder back' diff -r "$src/oracle/erp/rman_full_18-08-2025" "$back/aws/rman"

say '  real backups of SQL Server'
if [ -z "${DBBACKUP_SAMPLES:-}" ]; then
    say '  not run: DBBACKUP_SAMPLES does not name the directory with Northwind_20120314.bak'
else
    export DBBACKUP_CONFIG=$home/config.toml
    mkdir -p "$src"/mssql/api1/{test,test2}
    cp "$DBBACKUP_SAMPLES/Northwind_20120314.bak" "$src/mssql/api1/test2/Northwind_20120314.BAK"
    cp "$DBBACKUP_SAMPLES/Northwind_20120314.bak" "$src/mssql/api1/test/"
    cp "$DBBACKUP_SAMPLES/Northwind_20171023.bak" "$src/mssql/api1/test2/"
    exits 0 'a real .bak goes through' "$BIN" MSSQL --date 2012-03-14
    same 'only the one of that day, and not the excluded one' backup/mssql/api1/test2/weekly/Northwind_20120314.BAK \
        "$(data_keys "$bucket" | grep '^backup/mssql/')"
    exits 0 'it restores' "$BIN" restore --latest mssql/api1/test2 --to "$back/mssql"
    check 'the restored .bak equals the source' cmp "$src/mssql/api1/test2/Northwind_20120314.BAK" "$back/mssql/Northwind_20120314.BAK"
fi

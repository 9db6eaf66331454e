# Encrypted on the way: what aws-cli fetches is opened by age, and then by zstd, and is the source, byte for
# byte; without the key nothing comes back; a rehearsal with the key loads the dump.

# shellcheck source=lib.sh
. "$ROOT/tests/services/lib.sh"

home=$WORK/$CASE
bucket=encrypted
export DBBACKUP_CONFIG=$home/config.toml
configure "$home" "$bucket"
aws s3 mb "s3://$bucket" >/dev/null
src=$home/sources
mkdir -p "$src"/{oracle/erp/rman_full_18-08-2025,mysql/shop,mssql/crm}
{
    echo '-- MariaDB dump 10.19'
    echo 'CREATE DATABASE shop; USE shop; CREATE TABLE orders (id INT PRIMARY KEY, who VARCHAR(20));'
    seq -f "INSERT INTO orders VALUES (%.0f,'customer');" 20000
    echo '-- Dump completed on 2025-08-18  1:00:03'
} >"$src/mysql/shop/shop_20250818.sql"
head -c 30000000 /dev/urandom >"$src/mssql/crm/crm_20250818.bak"
for piece in 0a1b2c3d_1_1 c-1234567890-20250818-00; do head -c 300000 /dev/urandom >"$src/oracle/erp/rman_full_18-08-2025/$piece"; done

age-keygen -o "$home/key.txt" 2>/dev/null
age-keygen -o "$home/safe.txt" 2>/dev/null
keys="\"$(age-keygen -y "$home/key.txt")\", \"$(age-keygen -y "$home/safe.txt")\""
sed -i "s|^\(source = .*\)|\1\ncompress = \"zstd\"\nencrypt = [$keys]|" "$DBBACKUP_CONFIG"

exits 0 'a backup that is encrypted ends well' "$BIN" all --date 2025-08-18
same 'every key tells the form' \
    "backup/mssql/crm/weekly/crm_20250818.bak.zst.age
backup/mysql/shop/weekly/shop_20250818.sql.zst.age
backup/oracle/erp/weekly/rman_full_18-08-2025/0a1b2c3d_1_1.zst.age
backup/oracle/erp/weekly/rman_full_18-08-2025/c-1234567890-20250818-00.zst.age" "$(data_keys "$bucket")"
for key in mysql/shop/weekly/shop_20250818.sql mssql/crm/weekly/crm_20250818.bak; do
    file=$(basename "$key")
    aws s3 cp "s3://$bucket/backup/$key.zst.age" "$WORK/object" --only-show-errors
    for identity in key safe; do
        same "age opens it with $identity.txt, zstd decodes it, and it has the SHA-256 of the source" \
            "$(cat "$src"/*/*/"$file" | sha256sum)" "$(age -d -i "$home/$identity.txt" "$WORK/object" | zstd -d | sha256sum)"
    done
done
exits 2 'restore without the key says so' "$BIN" restore mysql/shop/weekly/shop_20250818.sql --to "$home/back"
for key in mysql/shop/weekly/shop_20250818.sql oracle/erp/weekly/rman_full_18-08-2025; do
    exits 0 "restore of $key with the key" "$BIN" restore "$key" --to "$home/back" --identity "$home/key.txt"
done
check 'the dump equals the source' cmp "$src/mysql/shop/shop_20250818.sql" "$home/back/shop_20250818.sql"
check 'so does the folder' diff -r "$src/oracle/erp/rman_full_18-08-2025" "$home/back/rman_full_18-08-2025"
exits 0 'verify compares what is stored' "$BIN" verify --reread
exits 0 'and with the key what is in it' env "DBBACKUP_IDENTITY=$home/safe.txt" "$BIN" verify --reread --local
exits 0 'a rehearsal loads the dump' "$BIN" drill mysql/shop --identity "$home/key.txt"
before=$(fingerprint "$bucket")
exits 0 'a second run ends well' "$BIN" all --date 2025-08-18
same 'and writes nothing but its record' "$before" "$(fingerprint "$bucket")"

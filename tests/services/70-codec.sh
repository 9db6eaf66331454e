# Compressed on the way: what aws-cli fetches is read by the standard tools and is the source, byte for
# byte; what is compressed already stays as it is; a second run and another form send nothing again.

# shellcheck source=lib.sh
. "$ROOT/tests/services/lib.sh"

home=$WORK/$CASE
bucket=codec
src=$home/sources
mkdir -p "$src"/{oracle/erp/rman_full_18-08-2025,mysql/shop,mssql/crm}
{
    echo '-- MariaDB dump 10.19'
    seq -f "INSERT INTO orders VALUES (%.0f,'customer','2025-08-18');" 900000
    echo '-- Dump completed on 2025-08-18  1:00:03'
} >"$src/mysql/shop/shop_20250818.sql"
sed -n '1,999p;$p' "$src/mysql/shop/shop_20250818.sql" | gzip >"$src/mysql/shop/small_20250818.sql.gz"
head -c 9000000 /dev/urandom | base64 >"$src/mssql/crm/crm_20250818.bak"
for piece in 0a1b2c3d_1_1 c-1234567890-20250818-00; do head -c 300000 /dev/urandom >"$src/oracle/erp/rman_full_18-08-2025/$piece"; done

for form in zstd:zst gzip:gz bzip2:bz2; do
    name=${form%:*} suffix=${form#*:}
    export DBBACKUP_CONFIG=$home/$name/config.toml
    configure "$home/$name" "$bucket-$name"
    sed -i "s|^\(source = .*\)|\1\ncompress = \"$name\"|; s|$home/$name/sources|$src|" "$DBBACKUP_CONFIG"
    aws s3 mb "s3://$bucket-$name" >/dev/null
    say "  $name"
    exits 0 "a backup compressed by $name ends well" "$BIN" all --date 2025-08-18
    same 'every key tells the form, but that of what was compressed already' \
        "backup/mssql/crm/weekly/crm_20250818.bak.$suffix
backup/mysql/shop/weekly/shop_20250818.sql.$suffix
backup/mysql/shop/weekly/small_20250818.sql.gz
backup/oracle/erp/weekly/rman_full_18-08-2025/0a1b2c3d_1_1.$suffix
backup/oracle/erp/weekly/rman_full_18-08-2025/c-1234567890-20250818-00.$suffix" "$(data_keys "$bucket-$name")"
    for key in mysql/shop/weekly/shop_20250818.sql mssql/crm/weekly/crm_20250818.bak; do
        file=$(basename "$key")
        rm -f "$WORK/$file"*
        aws s3 cp "s3://$bucket-$name/backup/$key.$suffix" "$WORK/" --only-show-errors
        check "$name -d reads what aws-cli fetched" "$name" -q -d "$WORK/$file.$suffix"
        same 'and it has the SHA-256 of the source' "$(cat "$src"/*/*/"$file" | sha256sum)" "$(sha256sum <"$WORK/$file")"
    done
    same "S3's checksum of the whole object is that of its own bytes" \
        "$(aws s3 cp "s3://$bucket-$name/backup/mssql/crm/weekly/crm_20250818.bak.$suffix" "$WORK/object" --only-show-errors && tool crc64nvme "$WORK/object")" \
        "$(aws s3api head-object --bucket "$bucket-$name" --key "backup/mssql/crm/weekly/crm_20250818.bak.$suffix" --checksum-mode ENABLED --query ChecksumCRC64NVME --output text || true)"
    exits 0 'verify reads and decodes every object' "$BIN" verify --reread --local
    exits 0 'restore of a file' "$BIN" restore mysql/shop/weekly/shop_20250818.sql --to "$home/$name/back"
    check 'it equals the source' cmp "$src/mysql/shop/shop_20250818.sql" "$home/$name/back/shop_20250818.sql"
    exits 0 'restore of a folder' "$BIN" restore --latest oracle/erp --to "$home/$name/back"
    check 'it equals the source too' diff -r "$src/oracle/erp/rman_full_18-08-2025" "$home/$name/back/rman_full_18-08-2025"
    same 'nothing partial is left' '' "$(find "$home/$name/back" -name '*.partial*' -o -name '*stored*')"
    before=$(fingerprint "$bucket-$name")
    exits 0 'a second run ends well' "$BIN" all --date 2025-08-18
    sed -i 's|^compress = .*|compress = "none"|' "$DBBACKUP_CONFIG"
    exits 0 'so does one that does not compress' "$BIN" all --date 2025-08-18
    same 'neither writes anything but its record' "$before" "$(fingerprint "$bucket-$name")"
done

say '  tar'
export DBBACKUP_CONFIG=$home/tar/config.toml
configure "$home/tar" "$bucket-tar"
sed -i "s|^\(source = .*/oracle\"\)|\1\npack = \"tar\"\ncompress = \"zstd\"|; s|$home/tar/sources|$src|" "$DBBACKUP_CONFIG"
aws s3 mb "s3://$bucket-tar" >/dev/null
exits 0 'a folder that is packed' "$BIN" oracle --date 2025-08-18
same 'is one object' backup/oracle/erp/weekly/rman_full_18-08-2025.tar.zst "$(data_keys "$bucket-tar")"
mkdir -p "$home/tar/by-hand"
aws s3 cp "s3://$bucket-tar/backup/oracle/erp/weekly/rman_full_18-08-2025.tar.zst" - --only-show-errors | zstd -d | tar x -C "$home/tar/by-hand"
check 'that zstd and tar read' diff -r "$src/oracle/erp/rman_full_18-08-2025" "$home/tar/by-hand/rman_full_18-08-2025"
exits 0 'restore' "$BIN" restore --latest oracle/erp --to "$home/tar/back"
check 'gives the folder back' diff -r "$src/oracle/erp/rman_full_18-08-2025" "$home/tar/back/rman_full_18-08-2025"
exits 0 'verify reads every object and looks at every file' "$BIN" verify --reread --local

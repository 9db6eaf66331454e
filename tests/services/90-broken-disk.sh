# A disk that breaks under a backup: a real file system whose device lost its second half, so that the kernel
# answers reads there with EIO. The set fails by name, nothing of it counts or stays, its neighbours go on.

# shellcheck source=lib.sh
. "$ROOT/tests/services/lib.sh"

home=$WORK/$CASE
disk=$home/disk
mkdir -p "$disk"
truncate -s 100M "$home/image"
PATH=$PATH:/usr/sbin:/sbin mkfs.ext4 -q "$home/image"
if ! mount -o loop "$home/image" "$disk" 2>"$WORK/err"; then
    say "  not run: no loop device can be mounted here: $(head -n 1 "$WORK/err")"
    exit 0
fi
trap 'umount "$disk"' EXIT

mkdir -p "$disk/crm" "$disk/erp"
head -c 50000000 /dev/urandom >"$disk/crm/crm_20250818.bak"
# Small: one request. The same place on the disk as the end of the other.
head -c 20000000 /dev/urandom >"$disk/erp/filler_20250817.bak"
head -c 3000000 /dev/urandom >"$disk/erp/erp_20250818.bak"
sync -f "$disk"
truncate -s 40M "$home/image"
for file in "$disk"/*/*.bak; do dd if="$file" iflag=nocache count=0 status=none; done
check 'the disk is broken in the middle of the large file' bash -c \
    "! dd if='$disk/crm/crm_20250818.bak' of='$home/read' bs=64k status=none 2>'$home/dd' && grep -q 'Input/output error' '$home/dd' && test \$(stat -c %s '$home/read') -gt 10000000"
rm -f "$home/read"

for form in none zstd; do
    for file in "$disk"/*/*.bak; do dd if="$file" iflag=nocache count=0 status=none; done
    export DBBACKUP_CONFIG=$home/$form/config.toml
    bucket=broken-$form
    configure "$home/$form" "$bucket"
    sed -i "s|^\(source = .*\)|\1\ncompress = \"$form\"|; s|$home/$form/sources/mssql|$disk|; s|^pauses|part_size = \"5MiB\"\npauses|" "$DBBACKUP_CONFIG"
    sql_file "$home/$form/sources/mysql/shop/shop_20250818.sql" 1
    aws s3 mb "s3://$bucket" >/dev/null
    exits 1 "compress = $form: a run that cannot read two files ends with 1" "$BIN" all --date 2025-08-18
    for file in crm/crm erp/erp; do
        says "$file is named with the system's words" "read $disk/${file}_20250818.bak.*Input/output error"
    done
    says 'and what to do' 'check the file and its permissions'
    suffix=$([ "$form" == none ] || echo .zst)
    same 'its neighbour is stored, nothing else is' "backup/mysql/shop/weekly/shop_20250818.sql$suffix" "$(data_keys "$bucket")"
    same 'no manifest speaks of it' '' "$(keys "$bucket" | grep -E '_catalog/.*mssql' || true)"
    same 'no upload is left' 0 "$(unfinished "$bucket")"
    exits 0 'what is stored is good' "$BIN" verify --reread
done

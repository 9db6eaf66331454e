# The check against a real server: a bucket as it should be, one that is not, and what is kept of it.

# shellcheck source=lib.sh
. "$ROOT/tests/services/lib.sh"

home=$WORK/$CASE
src=$home/sources
bucket=check-good
configure "$home" "$bucket"
chmod 640 "$home/config.toml"
for engine in oracle/erp/rman_full_18-08-2025 mssql/crm; do mkdir -p "$src/$engine"; done
sql_file "$src/mysql/shop/shop_20250818.sql" 1
head -c 20000 /dev/urandom >"$src/oracle/erp/rman_full_18-08-2025/0a1b2c3d_1_1"
head -c 20000 /dev/urandom >"$src/mssql/crm/crm_20250818.bak"

# variant NAME SED-SCRIPT: a copy of the configuration with one thing changed; prints its path.
variant() {
    sed -E "$2" "$home/config.toml" >"$home/$1.toml"
    chmod 640 "$home/$1.toml"
    echo "$home/$1.toml"
}
# line CHECK: result and words of one line of the last check.
line() { tool check_line "$1" <"$WORK/out"; }

say '  a bucket as the template makes it: versions, encryption, a lock, a lifecycle'
aws s3api create-bucket --bucket "$bucket" --object-lock-enabled-for-bucket >/dev/null
aws s3api put-bucket-encryption --bucket "$bucket" --server-side-encryption-configuration \
    '{"Rules":[{"ApplyServerSideEncryptionByDefault":{"SSEAlgorithm":"AES256"}}]}'
aws s3api put-public-access-block --bucket "$bucket" --public-access-block-configuration \
    BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true
aws s3api put-bucket-ownership-controls --bucket "$bucket" --ownership-controls 'Rules=[{ObjectOwnership=BucketOwnerEnforced}]'
aws s3api put-object-lock-configuration --bucket "$bucket" --object-lock-configuration \
    '{"ObjectLockEnabled":"Enabled","Rule":{"DefaultRetention":{"Mode":"COMPLIANCE","Days":1}}}'
aws s3api put-bucket-lifecycle-configuration --bucket "$bucket" --lifecycle-configuration '{"Rules":[
    {"ID":"unfinished","Status":"Enabled","Filter":{"Prefix":""},"AbortIncompleteMultipartUpload":{"DaysAfterInitiation":7}},
    {"ID":"removed","Status":"Enabled","Filter":{"Prefix":"backup/"},"NoncurrentVersionExpiration":{"NoncurrentDays":30}},
    {"ID":"weekly","Status":"Enabled","Filter":{"Prefix":"backup/mysql/shop/weekly/"},"Expiration":{"Days":90}}]}' >/dev/null

exits 0 'the check of a good bucket' "$BIN" check --config "$home/config.toml"
says 'it begins with what was looked at' "^Check of [^ ]+ and s3://$bucket/backup, 20.*config\.toml$"
says 'it ends with how many lines came out how' '^[0-9]+ ok, [0-9]+ warn, 0 FAIL, [0-9]+ unknown: nothing FAILs$'
same 'whatever is not ok says what to do' \
    "$(grep -cE '^ (local|network|identity|bucket) .* (warn|FAIL|unknown) ' "$WORK/out")" \
    "$(sed '1,/^What to do:/d' "$WORK/out" | grep -cE '^  (FAIL|warn|unknown) ')"
for row in 'local +source mysql +ok +.*/mysql: its one file can be read' \
    'local +clock +ok +agrees with the server' \
    'network +name +ok +127\.0\.0\.1: private' \
    'network +connection +ok +to 127\.0\.0\.1:[0-9]+ ' \
    'identity +credentials +ok +key test, from environment variables; does not expire' \
    'identity +caller +unknown .*is not AWS' \
    'identity +can upload +ok ' \
    'identity +cannot delete +warn +it can: the probe object was deleted' \
    'identity +cannot delete versions +ok +tried on the probe object, and refused' \
    'identity +probe object +ok .*it leaves [0-9]+ more versions? .*removes them after 30 days' \
    'bucket +region +ok +us-east-1' \
    'bucket +versioning +ok +on' \
    'bucket +encryption +ok +AES256' \
    'bucket +public access block +ok +all four settings are on' \
    'bucket +ownership +ok +BucketOwnerEnforced' \
    'bucket +object lock +ok +on' \
    'bucket +incomplete uploads +ok +aborted after 7 days' \
    'bucket +expiry +ok +`backup/mysql/shop/weekly/` after 90 days; without a rule: monthly' \
    'bucket +default retention +ok +COMPLIANCE, 1 days' \
    'bucket +checksum +ok .*a wrong one rejected, of a part and of a whole object' \
    'bucket +conditional writes +ok '; do
    says "a line: $row" "^ $row"
done
same 'no upload is left unfinished' 0 "$(unfinished "$bucket")"
same 'what it wrote lies under _check alone' '' \
    "$(aws s3api list-object-versions --bucket "$bucket" --query '[Versions,DeleteMarkers][][].Key' --output text | tr '\t' '\n' | grep -v '^backup/_check/' || true)"
before=$(aws s3api list-object-versions --bucket "$bucket" --query 'length(Versions)')
exits 0 'a check that writes nothing' "$BIN" check --read-only --config "$home/config.toml"
says 'says that rights were not tried' 'identity +rights +unknown +not tried, as --read-only writes nothing'
same 'and wrote nothing' "$before" "$(aws s3api list-object-versions --bucket "$bucket" --query 'length(Versions)')"

say '  as JSON'
exits 0 '--json' "$BIN" check --json --config "$home/config.toml"
same 'its lines are as in the table' 'ok on' "$(line versioning)"
same 'the exit code is in it' 0 "$(tool get exit_code <"$WORK/out")"

say '  a bucket without versions, a configuration that everybody may read'
aws s3 mb "s3://check-bare" >/dev/null
bare=$(variant bare 's/^bucket.*/bucket = "check-bare"/')
chmod 644 "$bare"
exits 1 'the check of it' "$BIN" check --config "$bare"
says 'names the bucket' '^ bucket +versioning +FAIL +off$'
says 'says what to do' '^  FAIL +bucket, versioning: switch it on: '
says 'names the file' '^ local +configuration file +FAIL .*bare\.toml.*mode 644, readable by everybody$'
says 'and how to mend it' '^  FAIL +local, configuration file: .*chmod 640 .*bare\.toml'
says 'deleting is grave there' '^ identity +cannot delete +FAIL '
says 'the probe object is gone' '^ identity +probe object +ok .*was written and removed$'
same 'and nothing else is there' '' "$(keys check-bare)"

say '  a bucket that was set up badly, as another server tells it'
aws s3api create-bucket --bucket check-badly --object-lock-enabled-for-bucket --object-ownership ObjectWriter >/dev/null
aws s3api put-public-access-block --bucket check-badly --public-access-block-configuration \
    BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=false,RestrictPublicBuckets=false
aws s3api put-bucket-policy --bucket check-badly --policy '{"Version":"2012-10-17","Statement":[{"Effect":"Allow",
    "Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::check-badly/*"}]}'
aws s3api put-bucket-lifecycle-configuration --bucket check-badly --lifecycle-configuration '{"Rules":[
    {"ID":"tidy","Status":"Enabled","Filter":{"Prefix":""},"Expiration":{"Days":30}}]}' >/dev/null
badly=$(variant badly 's/^bucket.*/bucket = "check-badly"/; s/^region.*/region = "eu-central-1"/')
exits 1 'the check of it' "$BIN" check --config "$badly"
for row in 'region +FAIL +the bucket is in us-east-1, the configuration says eu-central-1' \
    'public access block +FAIL +off: BlockPublicPolicy, RestrictPublicBuckets' \
    'ownership +warn +ObjectWriter' \
    'incomplete uploads +warn +never aborted' \
    'expiry +warn +rule `tidy` removes everything under `` after 30 days' \
    'object lock +ok +on' \
    'default retention +warn +none'; do
    says "a line: $row" "^ bucket +$row$"
done

say '  findings, open and closed'
chmod 640 "$bare"
exits 1 '--report' "$BIN" check --report --config "$bare"
sed -n '/^## Open findings/,/^## Closed findings/p' "$WORK/out" >"$WORK/open"
sed -n '/^## Closed findings/,/^## Versions/p' "$WORK/out" >"$WORK/closed"
check 'what is still wrong is open, with its dates' grep -qE '^- FAIL bucket versioning: off \(first seen 20.*, last seen 20' "$WORK/open"
check 'what was mended is closed, with its dates' grep -qE '^- FAIL local configuration file: .*, closed 20' "$WORK/closed"
check 'and is open no more' test -z "$(grep 'configuration file' "$WORK/open" || true)"
exits 0 'a backup afterwards goes through' "$BIN" mysql --date 2025-08-18 --config "$bare"
record=$(keys check-bare | grep '^backup/_runs/')
same 'its record names what is open' fail \
    "$(aws s3 cp "s3://check-bare/$record" - | tool finding versioning)"

say '  what does not answer'
exits 1 'a bucket that is not there' "$BIN" check --config "$(variant nowhere 's/^bucket.*/bucket = "check-nowhere"/')"
says 'is said so, once' '^ network +answer +FAIL +there is no bucket check-nowhere there$'
says 'and nothing is guessed' '^ bucket +the rest +unknown '
exits 1 'an endpoint where nobody listens' "$BIN" check \
    --config "$(variant closed "s|^endpoint_url.*|endpoint_url = \"http://127.0.0.1:$(tool free_port)\"|")"
says 'is refused' '^ network +connection +FAIL .*refused'
exits 1 'the environment of cron, which has no keys' "$BIN" check --as-cron --config "$home/config.toml"
says 'has none' '^ identity +credentials +FAIL '
exits 0 'a proxy that leads nowhere' env HTTP_PROXY=http://127.0.0.1:1 HTTPS_PROXY=http://127.0.0.1:1 "$BIN" check --config "$home/config.toml"
says 'is told, and not taken' '^ network +proxy +warn +HTTP_PROXY, HTTPS_PROXY set'

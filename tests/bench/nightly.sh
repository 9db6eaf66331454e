#!/usr/bin/env bash
# What a nightly script around the AWS command line does: looks through each source for the backups of one day
# and copies them one after the other, three attempts each.
#
#   nightly.sh SOURCES DAY ENDPOINT AWS     DAY as 2025-08-18, AWS the command line's program
set -u
sources=$1 day=$2 endpoint=$3 aws=$4
sent=0

copy() { # PATH PLACE [OPTION]
    local attempt
    for attempt in 1 2 3; do
        if "$aws" --endpoint-url "$endpoint" s3 cp "$1" "s3://vault/backup/$2/" --only-show-errors ${3:+"$3"}; then
            sent=$((sent + 1))
            return 0
        fi
        sleep 5
    done
    return 1
}

place() { # ENGINE PATH
    local category=weekly number
    number=$(date -d "$day" +%d)
    if [[ $(date -d "$day" +%u) == 1 && $(((10#$number - 1) / 7 + 1)) == 4 ]]; then category=monthly; fi
    echo "$1/$(realpath --relative-to="$sources/$1" "$(dirname "$2")")/$category"
}

while read -r folder; do
    found=$(basename "$folder" | grep -oE '[0-9]{2}-[0-9]{2}-[0-9]{4}') || continue
    [[ ${found:6:4}-${found:3:2}-${found:0:2} == "$day" ]] || continue
    copy "$folder" "$(place oracle "$folder")/$(basename "$folder")" --recursive || exit 1
done < <(find "$sources/oracle" -mindepth 2 -maxdepth 2 -type d -name 'rman_*' ! -name '*lv1*')

for engine in mysql mssql; do
    while read -r file; do
        found=$(basename "$file" | grep -oE '[0-9]{8}') || continue
        [[ $(date -d "$found" +%Y-%m-%d) == "$day" ]] || continue
        copy "$file" "$(place "$engine" "$file")" || exit 1
    done < <(find "$sources/$engine" -type f)
done

echo "$sent backups were uploaded"
[[ $sent -gt 0 ]]

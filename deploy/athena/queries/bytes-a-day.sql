-- What the fleet sent each day: runs, hosts, sets, gigabytes.
SELECT "date", count(*) AS runs, count(DISTINCT host) AS hosts, sum(sent) AS sets,
       round(sum(bytes) / 1e9, 1) AS gigabytes
FROM @database@.runs
WHERE "date" >= @days_ago_35@
GROUP BY "date"
ORDER BY "date";

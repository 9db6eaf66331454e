-- Hosts on the list whose last good night is older than yesterday, or that never had one, or whose last night failed
-- and no good one followed. A good night: exit code 0, at least one set sent or already there, and of the day before
-- (a run by hand for days long gone is none). A failed run is made good by one of the same target, or of all.
-- Silence counts as failure.
WITH nights AS (
  SELECT host, target, "date", started, exit_code,
         exit_code = 0 AND sent + skipped > 0
           AND CAST(dates[2] AS date) >= CAST("date" AS date) - INTERVAL '1' DAY AS is_good
  FROM @database@.runs
  WHERE "date" >= @days_ago_35@
), good AS (
  SELECT host, max("date") AS last_good FROM nights WHERE is_good GROUP BY host
), mended AS (
  SELECT host, target, max(started) AS at FROM nights WHERE is_good GROUP BY host, target
), failed AS (
  SELECT host, target, max(started) AS at
  FROM nights
  WHERE exit_code <> 0 AND "date" >= @days_ago_1@
  GROUP BY host, target
), broken AS (
  SELECT DISTINCT f.host
  FROM failed f
  LEFT JOIN mended m ON m.host = f.host AND m.target IN (f.target, 'all') AND m.at > f.at
  WHERE m.host IS NULL
)
SELECT h.host, coalesce(g.last_good, 'not in 35 days') AS last_good
FROM @database@.hosts h
LEFT JOIN good g ON g.host = h.host
LEFT JOIN broken b ON b.host = h.host
WHERE g.last_good IS NULL OR g.last_good < @days_ago_1@ OR b.host IS NOT NULL
ORDER BY g.last_good NULLS FIRST, h.host;

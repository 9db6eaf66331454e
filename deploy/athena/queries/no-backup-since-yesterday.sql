-- Hosts on the list whose last good run is older than yesterday, or that never had one.
-- Good: exit code 0 and at least one set sent or already there. Silence counts as failure.
WITH good AS (
  SELECT host, max("date") AS last_good
  FROM @database@.runs
  WHERE "date" >= @days_ago_35@ AND exit_code = 0 AND sent + skipped > 0
  GROUP BY host
)
SELECT h.host, coalesce(g.last_good, 'not in 35 days') AS last_good
FROM @database@.hosts h
LEFT JOIN good g ON g.host = h.host
WHERE g.last_good IS NULL OR g.last_good < @days_ago_1@
ORDER BY g.last_good NULLS FIRST, h.host;

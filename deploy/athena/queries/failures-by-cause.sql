-- Why sets were not stored in the last week, by cause: how many sets, on how many hosts, and one of them.
SELECT s.status, s.why, count(*) AS sets, count(DISTINCT r.host) AS hosts,
       max(r."date") AS last_seen, min(r.host || ': ' || s.key) AS for_example
FROM @database@.runs r
CROSS JOIN @sets@
WHERE r."date" >= @days_ago_7@ AND s.status IN ('failed', 'refused')
GROUP BY s.status, s.why
ORDER BY sets DESC, s.why;

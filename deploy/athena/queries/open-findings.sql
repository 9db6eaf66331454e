-- What `dbbackup check` found on each host and no check has seen mended since, by the host's newest run of the
-- last week: FAIL before warn, the oldest first. A host where no check runs has none; one without a run is silent.
WITH newest AS (
  SELECT host, max(run) AS run
  FROM @database@.runs
  WHERE "date" >= @days_ago_7@
  GROUP BY host
)
SELECT r.host, f.outcome, f.area, f.what, f.seen, f.advice, f.first_seen
FROM @database@.runs r
JOIN newest n ON n.host = r.host AND n.run = r.run
CROSS JOIN @check_findings@
WHERE r."date" >= @days_ago_7@
ORDER BY f.outcome, f.first_seen, r.host, f.area, f.what;

-- Hosts whose uploads needed retries in the last week: the road is getting bad before backups fail.
SELECT r.host, sum(s.retries) AS retries, count(*) AS sets
FROM @database@.runs r
CROSS JOIN @sets@
WHERE r."date" >= @days_ago_7@ AND s.status = 'sent'
GROUP BY r.host
HAVING sum(s.retries) > 0
ORDER BY retries DESC, r.host
LIMIT 20;

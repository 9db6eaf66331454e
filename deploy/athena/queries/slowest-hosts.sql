-- The twenty hosts with the lowest rate in the last week: megabytes a second over the time of their runs.
SELECT host, count(*) AS runs, round(sum(bytes) / 1e9, 1) AS gigabytes,
       round(max(seconds) / 60, 1) AS longest_minutes,
       round(sum(bytes) / 1e6 / sum(seconds), 1) AS megabytes_a_second
FROM @database@.runs
WHERE "date" >= @days_ago_7@ AND sent > 0
GROUP BY host
HAVING sum(seconds) > 0
ORDER BY megabytes_a_second, host
LIMIT 20;

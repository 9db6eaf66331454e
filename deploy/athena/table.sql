-- The run records of a fleet as an Athena table; filled in by `render`. Nothing is
-- copied or loaded, Athena reads the objects where they are. Partitions are computed from the key
-- (projection), so a query that names its dates opens only their objects and no crawler is needed.
CREATE EXTERNAL TABLE IF NOT EXISTS @database@.runs (
  `version`   int,
  `run`       string,
  `target`    string,
  `dates`     array<string>,
  `started`   string,
  `finished`  string,
  `seconds`   double,
  `dbbackup`  string,
  `exit_code` int,
  `sent`      int,
  `skipped`   int,
  `refused`   int,
  `failed`    int,
  `bytes`     bigint,
  `sets`      array<struct<
    `key`: string, `engine`: string, `app`: string, `name`: string, `date`: string,
    `category`: string, `status`: string, `bytes`: bigint, `seconds`: double, `retries`: int, `why`: string>>,
  `findings`  array<struct<`severity`: string, `subject`: string, `what`: string, `advice`: string>>,
  `check_findings` array<struct<`area`: string, `what`: string, `outcome`: string, `seen`: string,
    `advice`: string, `first_seen`: string, `last_seen`: string>>
)
PARTITIONED BY (`host` string, `date` string)
ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe'
WITH SERDEPROPERTIES ('ignore.malformed.json' = 'false')
LOCATION '@base@'
TBLPROPERTIES (
  'projection.enabled' = 'true',
  'projection.host.type' = 'enum',
  'projection.host.values' = '@hosts@',
  'projection.date.type' = 'date',
  'projection.date.format' = 'yyyy-MM-dd',
  'projection.date.range' = '2025-01-01,NOW+1DAY',
  'storage.location.template' = '@location@'
);

"""The SQL over `_runs`, run by DuckDB on 1,000 hosts × 100 days, answers compared with plain counting.

The table is made by the shipped SQL from a tree in the bucket's layout, one file a run, which has some of
the hosts. The other hosts' records are added to it from a few files: 95,000 files say no more about the SQL
than these, and take minutes to write.
"""

import collections
import contextlib
import json
import os
import random
import re
import subprocess
from datetime import date, timedelta
from pathlib import Path

import boto3
import duckdb
import pytest
import sqlglot
from botocore.config import Config

from cfn import DEPLOY

TODAY = date(2025, 8, 19)
HOSTS, DAYS = 1000, 100
# Those that stop, fail or are refused among them.
IN_LAYOUT = {0, 1, 2, 3, 7, 17, 42, 55, 77}
CAUSE = "put object: 503 SlowDown after 3 attempts; the next run sends it"


def render(out, hosts, *options):
    return subprocess.run([DEPLOY / "athena/render", "--bucket", "example-backup", "--hosts", hosts, "--out", out,
                           *options], capture_output=True, text=True, check=False)


def one_set(host, day, engine, size, status="sent", retries=0, why=""):
    name = f"shop_{day:%Y%m%d}.sql"
    return {"key": f"{engine}/shop/weekly/{name}", "engine": engine, "app": "shop", "name": name,
            "date": str(day), "category": "weekly", "status": status, "bytes": size if status == "sent" else 0,
            "seconds": 1.2, "retries": retries, "why": why}


def record(host, day, sets, seconds):
    count = collections.Counter(s["status"] for s in sets)
    return {"version": 1, "run": f"{day:%Y%m%d}T010002Z-all-4711", "host": host, "target": "all",
            "dates": [str(day - timedelta(1))] * 2, "started": f"{day}T01:00:02+02:00",
            "finished": f"{day}T01:00:14+02:00", "seconds": seconds, "dbbackup": "0.1.0",
            "exit_code": int(count["failed"] + count["refused"] > 0), "sent": count["sent"],
            "skipped": count["skipped"], "refused": count["refused"], "failed": count["failed"],
            "bytes": sum(s["bytes"] for s in sets), "sets": sets,
            "findings": [{"severity": "error", "subject": s["key"], "what": s["why"], "advice": "see the log"}
                         for s in sets if s["why"]]}


def finding(what, outcome, first, last):
    return {"area": "bucket", "what": what, "outcome": outcome, "seen": "off", "advice": "switch it on",
            "first_seen": f"{first}T06:00:00Z", "last_seen": f"{last}T06:00:00Z"}


def check_findings(h, day):
    """What a check had found on the host by that day, and none has seen mended: a field that is left out where
    there is nothing."""
    start = TODAY - timedelta(DAYS)
    open_then = []
    if h % 100 in (7, 17):
        open_then.append(finding("versioning", "fail", start, day))
    if h % 100 == 8 and day < TODAY:  # mended since
        open_then.append(finding("versioning", "fail", start, day))
    if h % 100 == 9 or (h % 100 == 7 and day == TODAY):
        open_then.append(finding("object lock", "warn", day, day))
    return {"check_findings": open_then} if open_then else {}


def key(host, day, entry):
    """Where the program puts a run's record (README.md, "What is in the bucket")."""
    return f"backup/{host}/_runs/host={host}/date={day}/{entry['run']}.json"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    """The records, the list of hosts, a function that runs a query, the connection, and the tree's root."""
    root = tmp_path_factory.mktemp("fleet")
    generator, records = random.Random(4711), []
    (root / "more").mkdir()
    with contextlib.ExitStack() as files:
        more = [files.enter_context((root / f"more/{n}.json").open("w")) for n in range(4)]
        for h in range(HOSTS):
            host = f"db{h:04}"
            # Of every hundred hosts one stops for good 40 days ago and one 3 days ago; one has failed since
            # the day before yesterday; one never stores anything good.
            last = DAYS - {17: 40, 42: 3}.get(h % 100, 0)
            for d in range(last):
                day = TODAY - timedelta(DAYS - 1 - d)
                size = generator.randrange(1 << 20, 1 << 32)
                sets = [one_set(host, day, "mysql", size, retries=int(generator.random() < 0.01))]
                sets.append(one_set(host, day, "oracle", size // 3, status="skipped" if d % 7 else "sent"))
                if (h % 100 == 55 and d >= DAYS - 3) or h % 100 == 77:
                    sets = [one_set(host, day, "mysql", size, status="failed", why=CAUSE)]
                if h % 250 == 3 and d == DAYS - 2:
                    sets.append(one_set(host, day, "mssql", size, status="refused", why="cut short: no MSTL trailer"))
                entry = record(host, day, sets, round(size / (50 + h % 900) / 1e5 + 1, 3)) | check_findings(h, day)
                records.append((host, day, entry))
                if h in IN_LAYOUT:
                    path = root / key(host, day, entry)
                    path.parent.mkdir(parents=True)
                    path.write_text(json.dumps(entry) + "\n")
                else:
                    more[h % len(more)].write(json.dumps(entry | {"host": host, "date": str(day)}) + "\n")
    listed = [f"db{h:04}" for h in range(HOSTS)] + ["db9998", "db9999"]  # two that never reported
    (root / "hosts.txt").write_text("\n".join(listed))
    made = render(root / "sql", root / "hosts.txt", "--dialect", "duckdb", "--today", str(TODAY),
                  "--source", f"{root}/backup/*/_runs/*/*/*.json")
    assert made.returncode == 0, made.stderr
    database = duckdb.connect()
    database.execute((root / "sql/table.sql").read_text())
    database.execute((root / "sql/hosts.sql").read_text())
    in_layout = database.execute('SELECT DISTINCT host FROM dbbackup.runs').fetchall()
    assert {h for h, in in_layout} == {f"db{h:04}" for h in IN_LAYOUT}
    types = ", ".join(f"'{name}': '{kind}'" for name, kind, *_ in database.execute("DESCRIBE dbbackup.runs").fetchall())
    database.execute(f"INSERT INTO dbbackup.runs BY NAME SELECT * FROM read_json('{root}/more/*.json', "
                     f"format = 'newline_delimited', columns = {{{types}}})")

    def ask(name):
        return database.execute((root / f"sql/queries/{name}.sql").read_text()).fetchall()

    return records, listed, ask, database, root


def since(days):
    return TODAY - timedelta(days)


def test_every_record_is_read_with_the_types_of_the_table(fleet):
    records, _, _, database, _ = fleet
    found = database.execute("SELECT count(*), count(DISTINCT host), sum(bytes), sum(len(sets)), "
                             "min(\"date\"), max(\"date\") FROM dbbackup.runs").fetchone()
    assert found == (len(records), HOSTS, sum(r["bytes"] for *_, r in records),
                     sum(len(r["sets"]) for *_, r in records), str(since(DAYS - 1)), str(TODAY))
    assert len(records) > 95_000


def test_hosts_without_a_backup_since_yesterday_are_named_silent_ones_too(fleet):
    records, listed, ask, *_ = fleet
    good = {}
    for host, day, r in records:
        if day >= since(35) and r["exit_code"] == 0 and r["sent"] + r["skipped"] > 0:
            good[host] = max(good.get(host, day), day)
    expected = {(h, str(good[h]) if h in good else "not in 35 days") for h in listed
                if h not in good or good[h] < since(1)}
    answer = ask("no-backup-since-yesterday")
    assert set(answer) == expected and len(answer) == len(expected)
    named = dict(answer)
    assert named["db9999"] == named["db0017"] == named["db0077"] == "not in 35 days"
    assert named["db0042"] == str(since(3)) and named["db0055"] == str(since(3))
    assert "db0001" not in named and "db0003" not in named  # refused a set yesterday, good today


def test_a_failed_night_is_not_hidden_by_another_run(tmp_path):
    yesterday, today = since(1), TODAY
    good = one_set("h", today, "mysql", 1000)
    bad = one_set("h", today, "mysql", 1000, status="failed", why=CAUSE)

    def run(host, day, sets, target="all", at="01:00", dates=None):
        return record(host, day, sets, 9.0) | {
            "run": f"{day:%Y%m%d}T{at[:2]}0000Z-{target}-1", "target": target, "started": f"{day}T{at}:00+02:00",
        } | ({"dates": [dates] * 2} if dates else {})

    runs = {
        "well": [run("well", today, [good])],
        "failed-today": [run("failed-today", yesterday, [good]), run("failed-today", today, [bad])],
        "one-engine-since": [run("one-engine-since", today, [bad]),
                             run("one-engine-since", today, [good], "mysql", "09:00")],
        "old-days-since": [run("old-days-since", today, [bad]),
                           run("old-days-since", today, [good], "all", "09:00", "2025-07-01")],
        "mended": [run("mended", today, [bad]), run("mended", today, [good], "all", "09:00")],
        "one-engine-mended": [run("one-engine-mended", today, [bad], "mysql"),
                              run("one-engine-mended", today, [good], "all", "09:00")],
    }
    for host, entries in runs.items():
        for entry in entries:
            path = tmp_path / key(host, date.fromisoformat(entry["started"][:10]), entry)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(entry | {"check_findings": []}) + "\n")
    (tmp_path / "hosts").write_text("\n".join(runs))
    made = render(tmp_path / "sql", tmp_path / "hosts", "--dialect", "duckdb", "--today", str(TODAY),
                  "--source", f"{tmp_path}/backup/*/_runs/*/*/*.json")
    assert made.returncode == 0, made.stderr
    database = duckdb.connect()
    for name in ("table.sql", "hosts.sql"):
        database.execute((tmp_path / "sql" / name).read_text())
    answer = database.execute((tmp_path / "sql/queries/no-backup-since-yesterday.sql").read_text()).fetchall()
    assert {host for host, _ in answer} == {"failed-today", "one-engine-since", "old-days-since"}


def test_bytes_a_day(fleet):
    records, _, ask, *_ = fleet
    total = collections.Counter()
    for _, day, r in records:
        total[str(day)] += r["bytes"]
    answer = ask("bytes-a-day")
    assert [row[0] for row in answer] == [str(since(d)) for d in range(35, -1, -1)]
    for day, runs, hosts, _sets, gigabytes in answer:
        assert runs == hosts and gigabytes == pytest.approx(total[day] / 1e9, abs=0.051)


def test_slowest_hosts(fleet):
    records, _, ask, *_ = fleet
    sums = collections.defaultdict(lambda: [0, 0.0])
    for host, day, r in records:
        if day >= since(7) and r["sent"] > 0:
            sums[host][0] += r["bytes"]
            sums[host][1] += r["seconds"]
    rates = sorted((round(b / 1e6 / s, 1), h) for h, (b, s) in sums.items())
    assert [(row[-1], row[0]) for row in ask("slowest-hosts")] == rates[:20]


def test_failures_by_cause(fleet):
    records, _, ask, *_ = fleet
    causes = collections.defaultdict(list)
    for host, day, r in records:
        for s in r["sets"]:
            if day >= since(7) and s["status"] in ("failed", "refused"):
                causes[s["status"], s["why"]].append((host, day, s["key"]))
    expected = {(status, why, len(rows), len({h for h, *_ in rows}), str(max(d for _, d, _ in rows)),
                 min(f"{h}: {k}" for h, _, k in rows)) for (status, why), rows in causes.items()}
    answer = ask("failures-by-cause")
    assert set(answer) == expected and len(answer) == 2
    assert answer[0][1] == CAUSE


def test_retries(fleet):
    records, _, ask, *_ = fleet
    count = collections.Counter()
    for host, day, r in records:
        if day >= since(7):
            count[host] += sum(s["retries"] for s in r["sets"] if s["status"] == "sent")
    best = sorted(((-n, h) for h, n in count.items() if n))[:20]
    assert [(h, n) for h, n, _ in ask("retries")] == [(h, -n) for n, h in best]


def test_findings_are_those_of_each_hosts_newest_run_the_worst_first(fleet):
    records, _, ask, *_ = fleet
    newest = {}
    for host, day, r in records:
        if day >= since(7) and r["run"] >= newest.get(host, r)["run"]:
            newest[host] = r
    expected = sorted((f["outcome"], f["first_seen"], host, f["area"], f["what"], f["seen"], f["advice"])
                      for host, r in newest.items() for f in r.get("check_findings", []))
    assert [(outcome, first, host, area, what, seen, advice)
            for host, outcome, area, what, seen, advice, first in ask("open-findings")] == expected
    hosts = {host for _, _, host, *_ in expected}
    assert {"db0007", "db0107", "db0009"} <= hosts
    # Mended today, and silent for 40 days: the one has none, of the other nothing is known.
    assert not hosts & {"db0008", "db0017", "db0001"}
    assert len(expected) == 30


def test_what_athena_gets_is_valid_in_its_dialect(tmp_path):
    (tmp_path / "hosts").write_text("db1\ndb2\n")
    made = render(tmp_path / "sql", tmp_path / "hosts", "--prefix", "backup/{hostname}")
    assert made.returncode == 0, made.stderr
    files = sorted((tmp_path / "sql").rglob("*.sql"))
    assert len(files) == 8
    for file in files:
        statement, = sqlglot.parse(file.read_text(), dialect="athena")
        assert not isinstance(statement, sqlglot.exp.Command), f"{file.name} was not understood"
        assert "@" not in file.read_text()
    table = (tmp_path / "sql/table.sql").read_text()
    assert "'s3://example-backup/backup/${host}/_runs/host=${host}/date=${date}/'" in table
    assert "LOCATION 's3://example-backup/backup/'" in table
    assert render(tmp_path / "flat", tmp_path / "hosts", "--prefix", "backup").returncode == 0
    assert "'s3://example-backup/backup/_runs/host=${host}/date=${date}/'" in (tmp_path / "flat/table.sql").read_text()


def projected(table, host, day):
    """The one folder that Athena opens for a partition: the template of table.sql, filled in."""
    template = re.search(r"'storage.location.template' = '(.*)'", table).group(1)
    return template.replace("${host}", host).replace("${date}", str(day))


def test_the_projection_names_the_folder_of_every_record(fleet):
    records, *_, root = fleet
    assert render(root / "athena", root / "hosts.txt").returncode == 0
    table = (root / "athena/table.sql").read_text()
    paths = {str(p.relative_to(root)) for p in (root / "backup").rglob("*.json")}
    assert len(paths) > 600
    assert paths == {f"{projected(table, host, day)}{entry['run']}.json".removeprefix("s3://example-backup/")
                     for host, day, entry in records if int(host[2:]) in IN_LAYOUT}
    first, last = re.search(r"'projection.date.range' = '(.*),NOW\+1DAY'", table).group(1), TODAY
    assert all(first <= str(day) <= str(last) for _, day, _ in records)
    values = re.search(r"'projection.host.values' = '(.*)'", table).group(1).split(",")
    assert len(values) == HOSTS + 2 and {host for host, *_ in records} <= set(values)


@pytest.mark.skipif("DBBACKUP_BIN" not in os.environ, reason="DBBACKUP_BIN is not set: no binary to make a record")
def test_a_record_of_the_program_itself_is_read_where_the_projection_looks(tmp_path):
    """What `dbbackup all` leaves in a bucket, copied as README.md says and asked for by the shipped SQL."""
    binary = os.environ["DBBACKUP_BIN"]
    server = subprocess.Popen([binary, "demo", "--serve", tmp_path / "served"], stdout=subprocess.PIPE, text=True)
    try:
        url, bucket = re.search(r"(http://127\.0\.0\.1:\d+) with bucket ([a-z-]+)", server.stdout.readline()).groups()
        yesterday = date.today() - timedelta(1)
        source = tmp_path / f"mysql/shop/shop_{yesterday:%Y%m%d}.sql"
        source.parent.mkdir(parents=True)
        source.write_text("-- MySQL dump 10.13  Distrib 8.0.39\nSELECT 1;\n-- Dump completed\n")
        os.utime(source, (1755478802, 1755478802))
        (tmp_path / "config.toml").write_text(f"""
[mysql]
source = "{tmp_path}/mysql"
[s3]
bucket = "{bucket}"
prefix = "backup/{{hostname}}"
region = "eu-central-1"
endpoint_url = "{url}"
path_style = true
[log]
dir = "{tmp_path}/log"
[state]
dir = "{tmp_path}/state"
""")
        keys = {"AWS_ACCESS_KEY_ID": "demo", "AWS_SECRET_ACCESS_KEY": "demo-secret"}

        def dbbackup(*arguments):
            return subprocess.run([binary, "--config", tmp_path / "config.toml", *arguments], env=os.environ | keys,
                                  capture_output=True, text=True, timeout=120, check=False)

        checked = dbbackup("check")
        assert checked.returncode == 1, checked.stdout + checked.stderr  # the demo's bucket keeps no versions
        run = dbbackup("mysql")
        assert run.returncode == 0, run.stdout + run.stderr
        s3 = boto3.client("s3", endpoint_url=url, region_name="eu-central-1", aws_access_key_id="demo",
                          aws_secret_access_key="demo-secret", config=Config(s3={"addressing_style": "path"}))
        listed = s3.list_objects_v2(Bucket=bucket, Prefix="backup/")["Contents"]
        found, = [o["Key"] for o in listed if "/_runs/" in o["Key"]]
        there = tmp_path / "records" / found.removeprefix("backup/")
        there.parent.mkdir(parents=True)
        there.write_bytes(s3.get_object(Bucket=bucket, Key=found)["Body"].read())
    finally:
        server.terminate()
        server.wait(20)
    host = json.loads(there.read_text())["host"]
    (tmp_path / "hosts").write_text(host)
    day = re.search(r"/date=([0-9-]+)/", found).group(1)
    for dialect in (["--dialect", "duckdb", "--today", day, "--source", f"{tmp_path}/records/*/_runs/*/*/*.json"], []):
        out = tmp_path / (dialect[1] if dialect else "athena")
        assert render(out, tmp_path / "hosts", *dialect).returncode == 0
    table = (tmp_path / "athena/table.sql").read_text()
    assert projected(table, host, day).removeprefix("s3://example-backup/") == str(Path(found).parent) + "/"
    database = duckdb.connect()
    for name in ("table.sql", "hosts.sql"):
        database.execute((tmp_path / "duckdb" / name).read_text())
    # Every column has a value: a field that the program calls otherwise would be NULL.
    read = database.execute("SELECT * FROM dbbackup.runs")
    row = dict(zip([c[0] for c in read.description], *read.fetchall(), strict=True))
    assert [name for name, value in row.items() if value is None] == []
    assert (row["target"], row["sent"], row["exit_code"], row["host"], row["date"]) == ("mysql", 1, 0, host, day)
    one, = row["sets"]
    assert [name for name, value in one.items() if value is None] == []
    assert (one["key"], one["status"], one["bytes"]) == (f"mysql/shop/{one['category']}/{source.name}", "sent", source.stat().st_size)
    for one in row["check_findings"]:
        assert [name for name, value in one.items() if value is None] == []
    found = database.execute((tmp_path / "duckdb/queries/open-findings.sql").read_text()).fetchall()
    assert (host, "fail", "bucket", "versioning", "off") in [line[:5] for line in found]
    overdue = database.execute((tmp_path / "duckdb/queries/no-backup-since-yesterday.sql").read_text()).fetchall()
    assert overdue == []


@pytest.mark.parametrize("hosts", ["db1'; DROP TABLE x\n", "\n", "db1,db2\n"])
def test_a_list_of_hosts_that_is_none_is_refused(tmp_path, hosts):
    (tmp_path / "hosts").write_text(hosts)
    made = render(tmp_path / "sql", tmp_path / "hosts")
    assert made.returncode != 0 and "render:" in made.stderr
    assert not (tmp_path / "sql").exists()

"""The SQL over `_runs`, run by DuckDB on 1,000 hosts × 100 days, answers compared with plain counting."""

import collections
import json
import random
import subprocess
from datetime import date, timedelta

import duckdb
import pytest
import sqlglot

from cfn import DEPLOY

TODAY = date(2025, 8, 19)
HOSTS, DAYS = 1000, 100
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


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    """Writes the records under design's keys; returns them, the list of hosts, and a connection."""
    root = tmp_path_factory.mktemp("fleet")
    generator, records = random.Random(4711), []
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
            entry = record(host, day, sets, round(size / (50 + h % 900) / 1e5 + 1, 3))
            folder = root / "backup" / host / "_runs" / f"host={host}" / f"date={day}"
            folder.mkdir(parents=True)
            (folder / f"{entry['run']}.json").write_text(json.dumps(entry) + "\n")
            records.append((host, day, entry))
    listed = [f"db{h:04}" for h in range(HOSTS)] + ["db9998", "db9999"]  # two that never reported
    (root / "hosts.txt").write_text("\n".join(listed))
    made = render(root / "sql", root / "hosts.txt", "--dialect", "duckdb", "--today", str(TODAY),
                  "--source", f"{root}/backup/*/_runs/*/*/*.json")
    assert made.returncode == 0, made.stderr
    database = duckdb.connect()
    database.execute((root / "sql/table.sql").read_text())
    database.execute((root / "sql/hosts.sql").read_text())

    def ask(name):
        return database.execute((root / f"sql/queries/{name}.sql").read_text()).fetchall()

    return records, listed, ask, database


def since(days):
    return TODAY - timedelta(days)


def test_every_record_is_read_with_the_types_of_the_table(fleet):
    records, _, _, database = fleet
    found = database.execute("SELECT count(*), count(DISTINCT host), sum(bytes), sum(len(sets)), "
                             "min(\"date\"), max(\"date\") FROM dbbackup.runs").fetchone()
    assert found == (len(records), HOSTS, sum(r["bytes"] for *_, r in records),
                     sum(len(r["sets"]) for *_, r in records), str(since(DAYS - 1)), str(TODAY))
    assert len(records) > 95_000


def test_hosts_without_a_backup_since_yesterday_are_named_silent_ones_too(fleet):
    records, listed, ask, _ = fleet
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


def test_bytes_a_day(fleet):
    records, _, ask, _ = fleet
    total = collections.Counter()
    for _, day, r in records:
        total[str(day)] += r["bytes"]
    answer = ask("bytes-a-day")
    assert [row[0] for row in answer] == [str(since(d)) for d in range(35, -1, -1)]
    for day, runs, hosts, _sets, gigabytes in answer:
        assert runs == hosts and gigabytes == pytest.approx(total[day] / 1e9, abs=0.051)


def test_slowest_hosts(fleet):
    records, _, ask, _ = fleet
    sums = collections.defaultdict(lambda: [0, 0.0])
    for host, day, r in records:
        if day >= since(7) and r["sent"] > 0:
            sums[host][0] += r["bytes"]
            sums[host][1] += r["seconds"]
    rates = sorted((round(b / 1e6 / s, 1), h) for h, (b, s) in sums.items())
    assert [(row[-1], row[0]) for row in ask("slowest-hosts")] == rates[:20]


def test_failures_by_cause(fleet):
    records, _, ask, _ = fleet
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
    records, _, ask, _ = fleet
    count = collections.Counter()
    for host, day, r in records:
        if day >= since(7):
            count[host] += sum(s["retries"] for s in r["sets"] if s["status"] == "sent")
    best = sorted(((-n, h) for h, n in count.items() if n))[:20]
    assert [(h, n) for h, n, _ in ask("retries")] == [(h, -n) for n, h in best]


def test_what_athena_gets_is_valid_in_its_dialect(tmp_path):
    (tmp_path / "hosts").write_text("db1\ndb2\n")
    made = render(tmp_path / "sql", tmp_path / "hosts", "--prefix", "backup/{hostname}")
    assert made.returncode == 0, made.stderr
    files = sorted((tmp_path / "sql").rglob("*.sql"))
    assert len(files) == 7
    for file in files:
        statement, = sqlglot.parse(file.read_text(), dialect="athena")
        assert not isinstance(statement, sqlglot.exp.Command), f"{file.name} was not understood"
        assert "@" not in file.read_text()
    table = (tmp_path / "sql/table.sql").read_text()
    assert "'s3://example-backup/backup/${host}/_runs/host=${host}/date=${date}/'" in table
    assert "LOCATION 's3://example-backup/backup/'" in table
    assert render(tmp_path / "flat", tmp_path / "hosts", "--prefix", "backup").returncode == 0
    assert "'s3://example-backup/backup/_runs/host=${host}/date=${date}/'" in (tmp_path / "flat/table.sql").read_text()


@pytest.mark.parametrize("hosts", ["db1'; DROP TABLE x\n", "\n", "db1,db2\n"])
def test_a_list_of_hosts_that_is_none_is_refused(tmp_path, hosts):
    (tmp_path / "hosts").write_text(hosts)
    made = render(tmp_path / "sql", tmp_path / "hosts")
    assert made.returncode != 0 and "render:" in made.stderr
    assert not (tmp_path / "sql").exists()

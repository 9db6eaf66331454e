//! What must exist: `[[expect]]`, and what is missing by it. Pure.
//!
//! What must stay true: a backup that the source never produced and one that was not stored are told
//! apart, since other people have to act.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use chrono::{Datelike as _, Weekday};

use crate::model::{BackupDate, DateRange, Engine, Finding, RelPath, Severity};

/// Time after the next backup's day in which it may still arrive, in the RPO where none was set:
/// the night's jobs, the way to the bucket, and a morning's repair.
pub const SLACK: Duration = Duration::from_hours(12);

/// One `[[expect]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expect {
    /// The database engine.
    pub engine: Engine,
    /// One app; none for `*`: every app of the engine that no other entry names.
    pub app: Option<RelPath>,
    /// On which days there is a backup.
    pub schedule: Schedule,
    /// How old the newest may be, counted from the end of its day; none: the schedule's.
    pub rpo: Option<Duration>,
}

/// Days on which there is a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schedule {
    /// Every day.
    Daily,
    /// One day of the week.
    Weekly(Weekday),
}

impl Schedule {
    /// Whether there must be a backup of that date.
    #[must_use]
    pub fn is_due(self, date: BackupDate) -> bool {
        match self {
            Self::Daily => true,
            Self::Weekly(day) => date.day().weekday() == day,
        }
    }

    fn due(self, days: DateRange) -> impl Iterator<Item = BackupDate> {
        let dates = days.first().day().iter_days().map(BackupDate::from);
        dates.take_while(move |date| *date <= days.last()).filter(move |date| self.is_due(*date))
    }

    /// One period and [`SLACK`].
    #[must_use]
    pub const fn rpo(self) -> Duration {
        let days = match self {
            Self::Daily => 1,
            Self::Weekly(_) => 7,
        };
        Duration::from_secs(days * 86_400 + SLACK.as_secs())
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Daily => f.pad("daily"),
            Self::Weekly(day) => f.pad(&format!("weekly {}", day.to_string().to_ascii_lowercase())),
        }
    }
}

/// What is expected of an app: its own entry before that of `*`.
#[must_use]
pub fn of_app<'e>(expectations: &'e [Expect], engine: Engine, app: &RelPath) -> Option<&'e Expect> {
    let of_engine = || expectations.iter().filter(move |expect| expect.engine == engine);
    of_engine()
        .find(|expect| expect.app.as_ref() == Some(app))
        .or_else(|| of_engine().find(|expect| expect.app.is_none()))
}

/// What became of one set of a run.
#[derive(Debug, Clone)]
pub struct Outcome<'r> {
    /// The database engine.
    pub engine: Engine,
    /// The app.
    pub app: &'r str,
    /// The date in its name.
    pub date: BackupDate,
    /// Whether it is in the bucket now, as a backup to count on.
    pub stored: bool,
    /// Whether it is cut short: then it was the database's job that failed.
    pub cut_short: bool,
    /// Why not.
    pub why: &'r str,
}

/// The days of which backups must exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Days {
    /// Those that the run looks at.
    pub looked_at: DateRange,
    /// Those of them that were asked for; on the others, an app is missed from its first backup on.
    pub asked: DateRange,
}

impl Days {
    /// Whether an app whose first known backup is of `first` is missed where it has none of `date`.
    fn count(self, date: BackupDate, first: Option<&BackupDate>) -> bool {
        self.asked.contains(date) || first.is_some_and(|first| *first <= date)
    }
}

/// The backups of `days` that must exist and do not. `apps` are those of the run's engines that the
/// source or the bucket knows, `stored` what the bucket has, `firsts` the date of each app's earliest
/// backup, of whatever worth: a server has none of the days before it was set up.
#[must_use]
pub fn missing(
    expectations: &[Expect],
    apps: &BTreeSet<(Engine, RelPath)>,
    outcomes: &[Outcome<'_>],
    stored: &BTreeSet<(Engine, RelPath, BackupDate)>,
    firsts: &BTreeMap<(Engine, RelPath), BackupDate>,
    days: Days,
) -> Vec<Finding> {
    let mut findings = nothing_at_all(expectations, apps, days.looked_at);
    for (engine, app) in apps {
        let Some(expect) = of_app(expectations, *engine, app) else { continue };
        let first = firsts.get(&(*engine, app.clone()));
        for date in expect.schedule.due(days.looked_at).filter(|date| days.count(*date, first)) {
            let mut of_day = outcomes.iter().filter(|outcome| {
                outcome.engine == *engine && outcome.app == app.as_str() && outcome.date == date
            });
            if stored.contains(&(*engine, app.clone(), date)) || of_day.clone().any(|outcome| outcome.stored)
            {
                continue;
            }
            let subject = if app.is_empty() { engine.to_string() } else { format!("{engine}/{app}") };
            let (what, advice) = match of_day.next() {
                Some(outcome) if outcome.cut_short => (
                    format!("its backup of {date} is on this host and is no whole one: {}", outcome.why),
                    "look at the database's own backup job and the space on its disk, and back up again"
                        .to_owned(),
                ),
                Some(outcome) => (
                    format!("its backup of {date} is on this host and was not stored: {}", outcome.why),
                    "the database's job did its part; mend what is named, and run dbbackup again".to_owned(),
                ),
                None => (
                    format!("the source never produced its backup of {date} (expected {})", expect.schedule),
                    "look at the database's own backup job and the space on its disk; dbbackup had nothing to send"
                        .to_owned(),
                ),
            };
            findings.push(Finding { severity: Severity::Error, subject, what, advice });
        }
    }
    findings
}

/// `*` of an engine of which neither source nor bucket knows an app: an empty mount point looks like this.
fn nothing_at_all(
    expectations: &[Expect],
    apps: &BTreeSet<(Engine, RelPath)>,
    days: DateRange,
) -> Vec<Finding> {
    let unknown = |engine: Engine| !apps.iter().any(|(other, _)| *other == engine);
    expectations
        .iter()
        .filter(|expect| expect.app.is_none() && unknown(expect.engine))
        .filter(|expect| expect.schedule.due(days).next().is_some())
        .map(|expect| Finding {
            severity: Severity::Error,
            subject: expect.engine.to_string(),
            what: format!(
                "backups of it are expected {}, and neither its source nor the bucket has any app",
                expect.schedule
            ),
            advice: "see that the source's disk is mounted, and that its jobs write there".to_owned(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expect(app: Option<&str>, schedule: Schedule) -> Expect {
        Expect { engine: Engine::Mysql, app: app.map(|app| app.parse().unwrap()), schedule, rpo: None }
    }

    fn day(text: &str) -> BackupDate {
        text.parse().unwrap()
    }

    fn asked(days: DateRange) -> Days {
        Days { looked_at: days, asked: days }
    }

    fn apps(names: &[&str]) -> BTreeSet<(Engine, RelPath)> {
        names.iter().map(|app| (Engine::Mysql, app.parse().unwrap())).collect()
    }

    #[test]
    fn never_produced_and_not_stored_are_different_findings() {
        let expectations = [expect(None, Schedule::Daily)];
        let date = day("2025-08-18");
        let failed = Outcome {
            engine: Engine::Mysql,
            app: "shop",
            date,
            stored: false,
            cut_short: false,
            why: "the line broke",
        };
        let sent = Outcome { app: "crm", stored: true, ..failed.clone() };
        let cut = Outcome { app: "hr", cut_short: true, why: "cut short", ..failed.clone() };
        let found = missing(
            &expectations,
            &apps(&["blog", "crm", "hr", "shop", "wiki"]),
            &[failed, sent, cut],
            &BTreeSet::from([(Engine::Mysql, "wiki".parse().unwrap(), date)]),
            &BTreeMap::new(),
            asked(DateRange::one(date)),
        );
        let texts: Vec<_> = found.iter().map(|f| (f.subject.as_str(), f.what.as_str())).collect();
        assert_eq!(
            texts,
            [
                ("mysql/blog", "the source never produced its backup of 2025-08-18 (expected daily)"),
                ("mysql/hr", "its backup of 2025-08-18 is on this host and is no whole one: cut short"),
                ("mysql/shop", "its backup of 2025-08-18 is on this host and was not stored: the line broke"),
            ]
        );
    }

    #[test]
    fn weekly_app_is_missed_on_its_day_only_and_its_own_entry_counts_before_the_star() {
        let expectations =
            [expect(None, Schedule::Daily), expect(Some("crm"), Schedule::Weekly(Weekday::Mon))];
        let week = DateRange::new(day("2025-08-18"), day("2025-08-24")).unwrap();
        let found =
            |app| missing(&expectations, &apps(&[app]), &[], &BTreeSet::new(), &BTreeMap::new(), asked(week));
        let crm = found("crm");
        assert_eq!(crm.len(), 1);
        assert!(crm[0].what.contains("2025-08-18"), "{crm:?}");
        assert_eq!(found("shop").len(), 7);
    }

    #[test]
    fn star_of_an_engine_without_any_app_is_a_finding_on_a_day_that_is_due() {
        let monday = [expect(None, Schedule::Weekly(Weekday::Mon))];
        let found = |date| {
            let days = asked(DateRange::one(day(date)));
            missing(&monday, &apps(&[]), &[], &BTreeSet::new(), &BTreeMap::new(), days)
        };
        assert_eq!(found("2025-08-18")[0].subject, "mysql");
        assert_eq!(found("2025-08-19"), []);
    }

    #[test]
    fn of_days_that_were_not_asked_for_an_app_is_missed_from_its_first_backup_on() {
        let week = DateRange::new(day("2025-08-18"), day("2025-08-24")).unwrap();
        let days = Days { looked_at: week, asked: DateRange::one(day("2025-08-24")) };
        let found = |first: Option<&str>| -> Vec<_> {
            let first = first.map(|first| ((Engine::Mysql, "shop".parse().unwrap()), day(first)));
            let firsts = first.into_iter().collect();
            let expectations = [expect(None, Schedule::Daily)];
            let found = missing(&expectations, &apps(&["shop"]), &[], &BTreeSet::new(), &firsts, days);
            found.iter().map(|finding| finding.what.split(' ').nth(7).unwrap().to_owned()).collect()
        };
        assert_eq!(found(None), ["2025-08-24"]);
        assert_eq!(found(Some("2025-08-23")), ["2025-08-23", "2025-08-24"]);
        assert_eq!(found(Some("2025-08-01")).len(), 7);
    }
}

//! `[backup] deadline`: who will be late is said before the run, on its way, and after it.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use chrono::{Local, NaiveDateTime, NaiveTime};

use super::steps::is_shipped;
use crate::forecast;
use crate::model::{Finding, Rate, Severity};
use crate::plan::Step;
use crate::report::{RunReport, SetReport, Status};
use crate::transfer::Events;

/// How often the run's own rate is looked at.
const TICK: Duration = Duration::from_secs(20);
/// A run's own rate counts from here on.
const ENOUGH: Duration = Duration::from_secs(10);

/// The sets of a run, in the order in which they go, and when they should be stored.
#[derive(Debug)]
pub(super) struct Deadline {
    at: NaiveDateTime,
    keys: Vec<String>,
    sizes: Vec<u64>,
    begun: Instant,
    /// Those of which it was said that they will be late.
    told: Mutex<BTreeSet<String>>,
}

impl Deadline {
    /// Of the steps that are sent, in their order.
    pub(super) fn new(time: NaiveTime, steps: &[Step]) -> Self {
        let sent: Vec<&Step> = steps.iter().filter(|step| is_shipped(&step.action)).collect();
        Self {
            at: forecast::next(time, Local::now().naive_local()),
            keys: sent.iter().map(|step| step.id.key()).collect(),
            sizes: sent.iter().map(|step| step.set.bytes()).collect(),
            begun: Instant::now(),
            told: Mutex::default(),
        }
    }

    /// Which sets will be late at this rate, with when they will be stored; each is told once.
    fn late(&self, done: u64, rate: Rate) -> Vec<(String, String)> {
        let now = Local::now().naive_local();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let ends = forecast::ends(&self.sizes, done, rate);
        let mut late = Vec::new();
        for (key, end) in self.keys.iter().zip(ends) {
            let end = chrono::Duration::from_std(end).ok().and_then(|end| now.checked_add_signed(end));
            if end.is_none_or(|end| end > self.at) && told.insert(key.clone()) {
                let when = end.map_or_else(|| "years from now".to_owned(), |end| clock(end, now));
                late.push((key.clone(), when));
            }
        }
        late
    }

    /// What the rate of earlier runs says, for the plan.
    pub(super) fn at_the_start(&self, state: &Path) -> Vec<Finding> {
        let Some(rate) = earlier_rate(&state.join("runs")) else {
            tracing::info!(
                "no earlier run tells how fast this one will be; [backup] deadline is {}",
                self.by()
            );
            return Vec::new();
        };
        let late = self.late(0, rate);
        late.into_iter().map(|(key, when)| self.finding(key, &when, rate, "the last run's rate")).collect()
    }

    /// Watches the run until it is dropped.
    pub(super) async fn watch(&self, events: &Events) {
        loop {
            tokio::time::sleep(TICK).await;
            let passed = self.begun.elapsed();
            let done = events.bytes();
            let Some(rate) = forecast::rate(done, passed).filter(|_| passed >= ENOUGH) else { continue };
            for (key, when) in self.late(done, rate) {
                let finding = self.finding(key, &when, rate, "this run's rate");
                tracing::warn!("[LATE] {}: {}", finding.subject, finding.what);
            }
        }
    }

    /// What was stored after the deadline.
    pub(super) fn at_the_end(&self, sets: &[SetReport]) -> Option<Finding> {
        let now = Local::now().naive_local();
        let sent = sets.iter().filter(|set| set.status == Status::Sent).count();
        (now > self.at && sent > 0).then(|| Finding {
            severity: Severity::Warning,
            subject: "[backup] deadline".to_owned(),
            what: format!("the run ended at {}, after {}", clock(now, now), self.by()),
            advice: "begin earlier, raise `bandwidth`, or give what matters most a `priority`".to_owned(),
        })
    }

    fn finding(&self, subject: String, when: &str, rate: Rate, whose: &str) -> Finding {
        let rate = crate::transfer::rate(rate.bytes(), 1.0);
        Finding {
            severity: Severity::Warning,
            subject,
            what: format!("will not be stored by {} but about {when}, at {rate}, {whose}", self.by()),
            advice: "begin earlier, raise `bandwidth`, or give what matters most a `priority`".to_owned(),
        }
    }

    fn by(&self) -> String {
        self.at.format("%H:%M").to_string()
    }
}

/// The time, with the day where it is another one.
fn clock(at: NaiveDateTime, now: NaiveDateTime) -> String {
    let form = if at.date() == now.date() { "%H:%M" } else { "%Y-%m-%d %H:%M" };
    at.format(form).to_string()
}

/// The rate of the newest run on this host that sent something.
fn earlier_rate(runs: &Path) -> Option<Rate> {
    super::earlier::files(runs).iter().rev().take(100).find_map(|path| {
        let run: RunReport = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
        let time = Duration::try_from_secs_f64(run.seconds).ok()?;
        forecast::rate(run.bytes, time)
    })
}

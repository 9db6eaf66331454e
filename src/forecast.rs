//! Which sets will be stored in time, by the rate so far. Pure.

use std::time::Duration;

use chrono::{NaiveDateTime, NaiveTime};

use crate::model::Rate;

/// The next time, from `now` on, at which the clock shows `deadline`.
#[must_use]
pub fn next(deadline: NaiveTime, now: NaiveDateTime) -> NaiveDateTime {
    let today = now.date().and_time(deadline);
    if today > now { today } else { today + chrono::Duration::days(1) }
}

/// When each of the sets will be stored, counted from now: they go in this order, `done` bytes of them
/// are sent, and the rest goes at `rate`.
pub fn ends(sizes: &[u64], done: u64, rate: Rate) -> impl Iterator<Item = Duration> {
    sizes.iter().scan(0_u64, move |before, size| {
        *before = before.saturating_add(*size);
        Some(rate.time_for(before.saturating_sub(done)))
    })
}

/// The rate of so many bytes in such a time; `None` where they are too few to tell.
#[must_use]
pub fn rate(bytes: u64, time: Duration) -> Option<Rate> {
    let millis = u64::try_from(time.as_millis()).ok().filter(|millis| *millis > 0)?;
    (bytes > 0).then(|| Rate::bytes_per_second(bytes.saturating_mul(1000) / millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> NaiveDateTime {
        text.parse().unwrap()
    }

    #[test]
    fn deadline_is_the_next_one_on_the_clock() {
        let six = NaiveTime::from_hms_opt(6, 0, 0).unwrap();
        assert_eq!(next(six, at("2025-08-18T01:00:00")), at("2025-08-18T06:00:00"));
        assert_eq!(next(six, at("2025-08-18T06:00:00")), at("2025-08-19T06:00:00"));
    }

    #[test]
    fn sets_end_one_after_the_other_and_what_is_sent_counts() {
        let rate = Rate::bytes_per_second(100);
        let seconds: Vec<u64> = ends(&[1000, 500, 0], 600, rate).map(|end| end.as_secs()).collect();
        assert_eq!(seconds, [4, 9, 9]);
        let all: Vec<u64> = ends(&[1000], 5000, rate).map(|end| end.as_secs()).collect();
        assert_eq!(all, [0]);
    }

    #[test]
    fn nothing_sent_is_no_rate() {
        assert_eq!(super::rate(0, Duration::from_secs(1)), None);
        assert_eq!(super::rate(10, Duration::ZERO), None);
        assert_eq!(super::rate(3_000, Duration::from_millis(1_500)), Some(Rate::bytes_per_second(2_000)));
    }
}

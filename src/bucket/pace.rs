//! How fast bodies go out, all requests together.

use std::sync::{Mutex, PoisonError};

use chrono::Local;
use tokio::time::Instant;

use crate::model::Bandwidth;

/// Says of each piece when it may go.
#[derive(Debug)]
pub(super) struct Pace {
    limit: Bandwidth,
    /// When all that was let go before has gone, at the rate of its time.
    next: Mutex<Instant>,
}

impl Pace {
    pub(super) fn new(limit: Bandwidth) -> Self {
        Self { limit, next: Mutex::new(Instant::now()) }
    }

    /// When so many bytes may go; `None` for now. The time of day is looked at anew for each piece, so
    /// a timetable holds in the middle of a file.
    pub(super) fn turn(&self, bytes: u64) -> Option<Instant> {
        if self.limit.is_off() {
            return None;
        }
        let rate = self.limit.at(Local::now().time())?;
        let now = Instant::now();
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = now.max(*next);
        *next = turn + rate.time_for(bytes);
        (turn > now).then_some(turn)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn pieces_come_one_after_the_other_at_the_rate() {
        let pace = Pace::new("1MB/s".parse().unwrap());
        assert_eq!(pace.turn(500_000), None, "the line is free");
        let second = pace.turn(500_000).unwrap();
        let third = pace.turn(1).unwrap();
        assert_eq!(third - second, Duration::from_millis(500));
        assert!(second > Instant::now() + Duration::from_millis(300));
    }

    #[test]
    fn nothing_waits_where_there_is_no_limit() {
        let pace = Pace::new("00:00-23:59 off, off".parse().unwrap());
        for _ in 0..3 {
            assert_eq!(pace.turn(u64::MAX), None);
        }
    }
}

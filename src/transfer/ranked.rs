//! A semaphore whose waiters are served by rank, and within a rank in their order.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::NaiveDate;
use tokio::sync::oneshot;

/// Who goes first: the smaller one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    behind: u32,
    date: Option<NaiveDate>,
}

impl Rank {
    /// Higher priorities (0 to 100) first, and of one priority the older date.
    #[must_use]
    pub const fn new(priority: u32, date: NaiveDate) -> Self {
        Self { behind: u32::MAX - priority, date: Some(date) }
    }
}

/// So many permits, and who waits for one.
#[derive(Debug, Clone)]
pub struct Ranked {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    free: usize,
    came: u64,
    waiting: BTreeMap<(Rank, u64), oneshot::Sender<Permit>>,
}

/// The right to do one of so many things at once; given back when it is dropped.
#[derive(Debug)]
pub struct Permit {
    /// None once it is given back.
    state: Option<Arc<Mutex<State>>>,
}

impl Ranked {
    /// `permits` at once, at least one.
    #[must_use]
    pub fn new(permits: usize) -> Self {
        let state = State { free: permits.max(1), came: 0, waiting: BTreeMap::new() };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// One permit more.
    pub fn add(&self) {
        drop(Permit { state: Some(self.state.clone()) });
    }

    /// Waits for a permit.
    pub async fn acquire(&self, rank: Rank) -> Permit {
        loop {
            let turn = {
                let mut state = lock(&self.state);
                if state.free > 0 {
                    state.free -= 1;
                    return Permit { state: Some(self.state.clone()) };
                }
                let (sender, turn) = oneshot::channel();
                let came = state.came;
                state.came += 1;
                state.waiting.insert((rank, came), sender);
                turn
            };
            // A sender is dropped unused only with all of the state, which `self` keeps.
            if let Ok(permit) = turn.await {
                return permit;
            }
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let Some(shared) = self.state.take() else { return };
        let mut permit = Permit { state: Some(shared.clone()) };
        loop {
            let next = {
                let mut state = lock(&shared);
                let next = state.waiting.pop_first();
                if next.is_none() {
                    state.free += 1;
                }
                next
            };
            let Some((_, waiter)) = next else {
                permit.state = None;
                return;
            };
            // Who waited may have gone; then it is the next one's turn.
            match waiter.send(permit) {
                Ok(()) => return,
                Err(back) => permit = back,
            }
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn day(day: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(2025, 8, day).unwrap()
    }

    #[tokio::test]
    async fn waiters_come_by_priority_then_age_then_their_order() {
        let ranked = Ranked::new(1);
        let held = ranked.acquire(Rank::default()).await;
        let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
        let ranks = [
            ("new", Rank::new(0, day(18))),
            ("old", Rank::new(0, day(17))),
            ("dear", Rank::new(5, day(18))),
            ("new too", Rank::new(0, day(18))),
        ];
        for (name, rank) in ranks {
            let (ranked, told) = (ranked.clone(), told.clone());
            tokio::spawn(async move {
                let _permit = ranked.acquire(rank).await;
                told.send(name).unwrap();
            });
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        drop((held, told));
        let mut order = Vec::new();
        while let Some(name) = heard.recv().await {
            order.push(name);
        }
        assert_eq!(order, ["dear", "old", "new", "new too"]);
    }

    #[tokio::test]
    async fn permit_of_a_waiter_that_gave_up_goes_to_the_next_one() {
        let ranked = Ranked::new(1);
        let held = ranked.acquire(Rank::default()).await;
        let gone = tokio::time::timeout(Duration::from_millis(5), ranked.acquire(Rank::new(9, day(1)))).await;
        assert!(gone.is_err());
        let next = tokio::spawn({
            let ranked = ranked.clone();
            async move { drop(ranked.acquire(Rank::default()).await) }
        });
        tokio::time::sleep(Duration::from_millis(5)).await;
        drop(held);
        next.await.unwrap();
        drop(ranked.acquire(Rank::default()).await);
        assert_eq!(lock(&ranked.state).free, 1);
    }
}

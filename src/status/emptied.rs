//! Apps that have nothing any more but what expired.

use std::collections::{BTreeSet, HashMap};

use chrono::NaiveDateTime;

use super::{App, judge_app};
use crate::expect::{self, Ages, Expect};
use crate::model::{Engine, RelPath, SetId};

/// The apps of `expired` sets that are none of `judged`: that the bucket's rule removed the old backups excuses no
/// app from having a new one.
#[must_use]
pub fn emptied<'s>(
    judged: &[App],
    expired: impl Iterator<Item = &'s SetId>,
    expectations: &[Expect],
    now: NaiveDateTime,
) -> Vec<App> {
    let judged: BTreeSet<(Engine, &RelPath)> = judged.iter().map(|app| (app.engine, &app.app)).collect();
    let expired: BTreeSet<(Engine, &RelPath)> = expired.map(|id| (id.engine, &id.app)).collect();
    let nothing = HashMap::new();
    expired
        .difference(&judged)
        .map(|(engine, app)| {
            let expect = expect::of_app(expectations, *engine, app);
            let ages = expect.map_or(Some(Ages::USUAL), Expect::ages);
            let mut found = judge_app((*engine, (*app).clone()), &[], &nothing, (ages, None), now);
            found.why.push(
                "all that was stored of it has expired; where it was retired, remove its manifests"
                    .to_owned(),
            );
            found
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::State;

    #[test]
    fn app_of_which_all_has_expired_is_critical_and_told_once() {
        let id = |key: &str| SetId::parse_key(key).unwrap();
        let expired = [
            id("mysql/shop/daily/a_20250801.sql"),
            id("mysql/shop/daily/a_20250802.sql"),
            id("mysql/crm/daily/b.sql"),
        ];
        let now = "2025-08-19T03:00:00".parse().unwrap();
        let first = emptied(&[], expired.iter(), &[], now);
        let told: Vec<_> = first.iter().map(|app| (app.name(), app.state)).collect();
        let critical = State::Critical;
        assert_eq!(told, [("mysql/crm".to_owned(), critical), ("mysql/shop".to_owned(), critical)]);
        assert_eq!(first[0].why[0], "there is no good backup");
        assert_eq!(emptied(&first, expired.iter(), &[], now), []);
    }
}

//! Sources where each day has a directory of its own: then the days are no apps.

use super::dates;
use crate::expect::Expect;
use crate::model::{BackupDate, Engine, Finding, RelPath, Severity};

/// The app that one is counted as, and the day of it: where each day has a directory of its own
/// (`shop/2025-08-18`, `shop/2025/08/18`), each would be an app that has one backup and then misses all others; so
/// they count as the app above. One that has an entry of its own is what it is.
#[must_use]
pub fn above_a_day(expectations: &[Expect], engine: Engine, app: &RelPath) -> Option<(RelPath, BackupDate)> {
    if expectations.iter().any(|expect| expect.engine == engine && expect.app.as_ref() == Some(app)) {
        return None;
    }
    let parts: Vec<&str> = app.components().collect();
    let (last, above) = parts.split_last()?;
    let (above, day) = match (dates::only_a_day(last), above) {
        (Some(day), above) => (above, day),
        (None, [above @ .., year, month]) => (above, dates::only_a_day(&format!("{year}-{month}-{last}"))?),
        (None, _) => return None,
    };
    Some((above.join("/").parse().ok()?, day))
}

/// What is to be said where each day has a directory of its own: `app` of an engine, counted as `above`.
#[must_use]
pub fn day_directory(engine: Engine, app: &RelPath, above: &RelPath) -> Finding {
    let name = |app: &RelPath| if app.is_empty() { engine.to_string() } else { format!("{engine}/{app}") };
    Finding {
        severity: Severity::Warning,
        subject: name(above),
        what: format!(
            "each day has a directory of its own ({}), which makes each day an app of its own: they count together \
             here, and nobody misses one of several databases in them; `restore --latest` and `drill` know one day's \
             only",
            name(app)
        ),
        advice: "have the job write APP/APP_DATE.sql (a directory for each database), or name what must exist app by \
                 app in [[expect]]"
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expect::Schedule;

    #[test]
    fn directory_of_a_day_counts_as_the_app_above_it() {
        let named = Expect {
            engine: Engine::Mysql,
            app: Some("2025-08-18".parse().unwrap()),
            schedule: Schedule::Daily,
            rpo: None,
            full_rpo: None,
        };
        let above = |expectations: &[Expect], app: &str| {
            let found = above_a_day(expectations, Engine::Mysql, &app.parse().unwrap());
            found.map(|(above, day)| (above.to_string(), day.to_string()))
        };
        let expected = |above: &str| Some((above.to_owned(), "2025-08-18".to_owned()));
        assert_eq!(above(&[], "2025-08-18"), expected(""));
        assert_eq!(above(&[], "shop/20250818"), expected("shop"));
        assert_eq!(above(&[], "shop/2025/08/18"), expected("shop"));
        for app in ["", "shop", "shop/2025", "shop_20250818", "2025-08-18/shop"] {
            assert_eq!(above(&[], app), None, "{app}");
        }
        assert_eq!(above(&[named], "2025-08-18"), None, "named");
    }
}

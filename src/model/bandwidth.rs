//! How fast uploads may be, by the time of day. Pure.

use std::fmt;
use std::str::FromStr;

use chrono::{NaiveTime, Timelike as _};

use super::Rate;

/// A limit for all of the day, or one for each of its windows and one for the rest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bandwidth {
    windows: Vec<Window>,
    otherwise: Option<Rate>,
}

/// From one minute of the day up to another; over midnight where the second is the smaller one.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Window {
    from: u32,
    to: u32,
    limit: Option<Rate>,
}

impl Window {
    const fn contains(&self, minute: u32) -> bool {
        if self.from < self.to {
            self.from <= minute && minute < self.to
        } else {
            self.from <= minute || minute < self.to
        }
    }
}

impl Bandwidth {
    /// The limit at a time of the day; `None` for none. Of windows that overlap, the first one speaks.
    #[must_use]
    pub fn at(&self, time: NaiveTime) -> Option<Rate> {
        let minute = time.hour() * 60 + time.minute();
        self.windows
            .iter()
            .find(|window| window.contains(minute))
            .map_or(self.otherwise, |window| window.limit)
    }

    /// Whether there is never any limit.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.otherwise.is_none() && self.windows.iter().all(|window| window.limit.is_none())
    }
}

impl FromStr for Bandwidth {
    type Err = String;

    /// Items between commas: `80Mbit/s` or `off` for the rest of the day, at most once, and
    /// `07:00-19:00 20Mbit/s` for a window.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut windows = Vec::new();
        let mut otherwise = None;
        for item in text.split(',').map(str::trim) {
            match item.split_once(char::is_whitespace).filter(|(times, _)| times.contains(':')) {
                Some((times, rate)) => {
                    let ends =
                        times.split_once('-').and_then(|(from, to)| Some((minute(from)?, minute(to)?)));
                    let Some((from, to)) = ends.filter(|(from, to)| from != to) else {
                        return Err(format!("`{times}` is no window of the day such as 07:00-19:00"));
                    };
                    windows.push(Window { from, to, limit: limit(rate)? });
                }
                None if otherwise.is_some() => {
                    return Err("it gives two rates for the rest of the day".to_owned());
                }
                None => otherwise = Some(limit(item)?),
            }
        }
        Ok(Self { windows, otherwise: otherwise.flatten() })
    }
}

fn limit(text: &str) -> Result<Option<Rate>, String> {
    match text.trim() {
        "off" => Ok(None),
        rate => rate.parse().map(Some).map_err(|_| format!("`{rate}` is no rate")),
    }
}

fn minute(text: &str) -> Option<u32> {
    let time = NaiveTime::parse_from_str(text.trim(), "%H:%M").ok()?;
    Some(time.hour() * 60 + time.minute())
}

impl fmt::Display for Bandwidth {
    /// As it can be read back.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |limit: Option<Rate>| limit.map_or_else(|| "off".to_owned(), |rate| rate.to_string());
        for Window { from, to, limit } in &self.windows {
            let (from, to) = ((from / 60, from % 60), (to / 60, to % 60));
            write!(f, "{:02}:{:02}-{:02}:{:02} {}, ", from.0, from.1, to.0, to.1, show(*limit))?;
        }
        f.write_str(&show(self.otherwise))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(bandwidth: &Bandwidth, hour: u32, minute: u32) -> Option<String> {
        bandwidth.at(NaiveTime::from_hms_opt(hour, minute, 59).unwrap()).map(|rate| rate.to_string())
    }

    #[test]
    fn one_rate_is_for_all_of_the_day() {
        let all: Bandwidth = "80Mbit/s".parse().unwrap();
        assert_eq!(at(&all, 0, 0).as_deref(), Some("80Mbit/s"));
        assert!(!all.is_off());
        assert!("off".parse::<Bandwidth>().unwrap().is_off());
        assert_eq!(Bandwidth::default().to_string(), "off");
    }

    #[test]
    fn window_ends_before_its_last_minute_and_may_go_over_midnight() {
        let office: Bandwidth = "07:00-19:00 20Mbit/s, 22:30-01:00 1MiB/s, off".parse().unwrap();
        let seen =
            [(6, 59), (7, 0), (18, 59), (19, 0), (22, 30), (0, 59), (1, 0)].map(|(h, m)| at(&office, h, m));
        let (slow, night) = (Some("20Mbit/s".to_owned()), Some("1MiB/s".to_owned()));
        assert_eq!(seen, [None, slow.clone(), slow, None, night.clone(), night, None]);
        assert_eq!(office.to_string().parse(), Ok(office));
    }

    #[test]
    fn what_is_no_timetable_is_refused() {
        for text in [
            "",
            "80",
            "07:00-19:00",
            "7-19 1MB/s",
            "07:00-07:00 1MB/s",
            "25:00-26:00 1MB/s",
            "off, 1MB/s",
            "1MB/s,",
        ] {
            assert!(text.parse::<Bandwidth>().is_err(), "{text:?}");
        }
    }
}

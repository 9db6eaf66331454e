//! Bytes over time, as configurations say it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A rate above zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate(u64);

/// Why a text is no rate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it is no rate")]
pub struct NoRate;

/// Units in bits per second; the first that divides a rate is the one it is shown in.
const UNITS: [(&str, u64); 9] = [
    ("GiB/s", 8 << 30),
    ("MiB/s", 8 << 20),
    ("KiB/s", 8 << 10),
    ("Gbit/s", 1_000_000_000),
    ("Mbit/s", 1_000_000),
    ("kbit/s", 1_000),
    ("GB/s", 8_000_000_000),
    ("MB/s", 8_000_000),
    ("kB/s", 8_000),
];

impl Rate {
    /// So many bytes in a second; at least one.
    #[must_use]
    pub const fn bytes_per_second(bytes: u64) -> Self {
        Self(if bytes == 0 { 1 } else { bytes })
    }

    /// Bytes in a second.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// How long so many bytes take.
    #[must_use]
    pub fn time_for(self, bytes: u64) -> Duration {
        let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(self.0);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

impl FromStr for Rate {
    type Err = NoRate;

    /// A whole number and its unit per second: `80Mbit/s`, `64KiB/s`, `10 MB/s`. Prefixes are powers
    /// of 1000, those with `i` of 1024; letter case counts for nothing but is kept apart by `bit` and `B`.
    fn from_str(text: &str) -> Result<Self, NoRate> {
        let text = text.trim();
        let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or(NoRate)?;
        let (number, unit) = text.split_at_checked(digits).ok_or(NoRate)?;
        let number: u64 = number.parse().map_err(|_| NoRate)?;
        let unit = unit.trim();
        let (_, bits) = UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).ok_or(NoRate)?;
        match number.checked_mul(*bits).ok_or(NoRate)? / 8 {
            0 => Err(NoRate),
            bytes => Ok(Self(bytes)),
        }
    }
}

impl fmt::Display for Rate {
    /// As it can be read back, without rounding.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = u128::from(self.0) * 8;
        let unit = UNITS.iter().find(|(_, unit)| bits.is_multiple_of(u128::from(*unit)));
        match unit {
            Some((name, unit)) => write!(f, "{}{name}", bits / u128::from(*unit)),
            // Smaller than any unit: only a computed rate can be.
            None => write!(f, "{}B/s", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_and_bytes_are_eight_apart_and_are_shown_as_they_can_be_read() {
        for (text, bytes, shown) in [
            ("80Mbit/s", 10_000_000, "80Mbit/s"),
            ("64KiB/s", 65_536, "64KiB/s"),
            ("10 MB/s", 10_000_000, "80Mbit/s"),
            ("1gbit/s", 125_000_000, "1Gbit/s"),
            ("100kbit/s", 12_500, "100kbit/s"),
        ] {
            let rate: Rate = text.parse().unwrap();
            assert_eq!((rate.bytes(), rate.to_string().as_str()), (bytes, shown), "{text}");
            assert_eq!(rate.to_string().parse(), Ok(rate));
        }
    }

    #[test]
    fn what_is_no_rate_is_refused() {
        for text in ["", "80", "80Mbit", "Mbit/s", "-1Mbit/s", "0kB/s", "1.5MB/s", "99999999999GiB/s", "8b/s"]
        {
            assert_eq!(text.parse::<Rate>(), Err(NoRate), "{text:?}");
        }
    }

    #[test]
    fn time_follows_from_the_rate() {
        assert_eq!(Rate::bytes_per_second(64 << 10).time_for(16 << 20), Duration::from_secs(256));
        assert!(Rate::bytes_per_second(0).time_for(u64::MAX) > Duration::from_hours(24));
    }
}

//! How long a retrieval from an archive class takes, and roughly what it costs. Pure.
//!
//! Times: S3 user guide, "Understanding archive retrieval options"; they are typical and no promise.
//! Prices: AWS's list for us-east-1 as of [`PRICES_OF`]. What must stay true: whatever prints a price
//! prints that date and "about" with it.

use std::fmt;

use crate::bucket::{Archive, Tier};

/// Where and when the prices were these.
pub const PRICES_OF: &str = "list prices of us-east-1 in May 2026";

/// Objects of one class that have to be retrieved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need {
    /// Where they are.
    pub archive: Archive,
    /// How many.
    pub objects: u64,
    /// Bytes of all.
    pub bytes: u64,
}

/// How long a retrieval typically takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Typical {
    /// Minutes, at most.
    most: u32,
    /// Minutes, at least; 0 where only the longest is told.
    least: u32,
}

impl fmt::Display for Typical {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, minutes) = if self.most < 60 { ("minutes", 1) } else { ("hours", 60) };
        match self.least {
            0 => write!(f, "up to {} {unit}", self.most / minutes),
            least => write!(f, "{} to {} {unit}", least / minutes, self.most / minutes),
        }
    }
}

/// US dollars, in millionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Dollars(u128);

impl fmt::Display for Dollars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cents = self.0.div_ceil(10_000);
        match cents {
            0 => f.write_str("nothing"),
            1 => f.write_str("a cent"),
            _ => write!(f, "${}.{:02}", cents / 100, cents % 100),
        }
    }
}

/// What retrieving takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimate {
    /// Of the slowest class.
    pub typical: Typical,
    /// Retrieval, and the storage of the copies meanwhile; not the transfer from S3.
    pub cost: Dollars,
}

/// Typical times; `None` where S3 has no such tier.
#[must_use]
pub const fn typical(archive: Archive, tier: Tier) -> Option<Typical> {
    let (least, most) = match (archive, tier) {
        (Archive::Glacier | Archive::TieringArchive, Tier::Expedited) => (1, 5),
        (Archive::Glacier | Archive::TieringArchive, Tier::Standard) => (3 * 60, 5 * 60),
        (Archive::Glacier | Archive::TieringArchive, Tier::Bulk) => (5 * 60, 12 * 60),
        (Archive::DeepArchive | Archive::TieringDeepArchive, Tier::Expedited) => return None,
        (Archive::DeepArchive | Archive::TieringDeepArchive, Tier::Standard) => (0, 12 * 60),
        (Archive::DeepArchive | Archive::TieringDeepArchive, Tier::Bulk) => (0, 48 * 60),
    };
    Some(Typical { most, least })
}

/// Millionths of a dollar for a GB (2^30 bytes), and for a request.
const fn prices(archive: Archive, tier: Tier) -> (u128, u128) {
    match (archive, tier) {
        (Archive::Glacier | Archive::TieringArchive, Tier::Expedited) => (30_000, 10_000),
        (Archive::Glacier, Tier::Standard) => (10_000, 50),
        (Archive::DeepArchive, Tier::Standard) => (20_000, 100),
        (Archive::DeepArchive, Tier::Bulk) => (2_500, 25),
        (Archive::Glacier | Archive::TieringArchive | Archive::TieringDeepArchive, Tier::Bulk)
        | (Archive::TieringArchive | Archive::TieringDeepArchive, Tier::Standard)
        // There is no such tier.
        | (Archive::DeepArchive | Archive::TieringDeepArchive, Tier::Expedited) => (0, 0),
    }
}

/// A month of a copy in the standard class, millionths of a dollar for a GB.
const COPY_MONTH: u128 = 23_000;
const GB: u128 = 1 << 30;

/// What retrieving all of `needs` takes with `tier`, copies readable for `days`; `None` where one of
/// the classes has no such tier.
#[must_use]
pub fn estimate(needs: &[Need], tier: Tier, days: u32) -> Option<Estimate> {
    let mut whole = Estimate { typical: Typical { most: 0, least: 0 }, cost: Dollars(0) };
    for need in needs {
        whole.typical = whole.typical.max(typical(need.archive, tier)?);
        let (gb, request) = prices(need.archive, tier);
        let copy = if need.archive.moves_back() { 0 } else { COPY_MONTH * u128::from(days) / 30 };
        let bytes = u128::from(need.bytes) * (gb + copy);
        whole.cost.0 += bytes.div_ceil(GB) + u128::from(need.objects) * request;
    }
    Some(whole)
}

/// Every tier that all of `needs` have, with what it takes, in a sentence's words.
#[must_use]
pub fn choices(needs: &[Need], days: u32) -> String {
    let each = Tier::ALL.into_iter().filter_map(|tier| {
        let Estimate { typical, cost } = estimate(needs, tier, days)?;
        Some(format!("{} typically takes {typical} and costs about {cost}", tier.as_str()))
    });
    format!("{} ({})", each.collect::<Vec<_>>().join(", "), basis(days))
}

/// What the prices are, and what is in them.
#[must_use]
pub fn basis(days: u32) -> String {
    format!("{PRICES_OF}; {days} days of a readable copy are in it, the transfer from S3 is not")
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn need(archive: Archive, objects: u64, bytes: u64) -> Need {
        Need { archive, objects, bytes }
    }

    #[test]
    fn deep_archives_have_no_expedited_tier() {
        for archive in [Archive::DeepArchive, Archive::TieringDeepArchive] {
            assert_eq!(typical(archive, Tier::Expedited), None);
            let mixed = [need(Archive::Glacier, 1, 1), need(archive, 1, 1)];
            assert_eq!(estimate(&mixed, Tier::Expedited, 7), None);
            assert!(!choices(&mixed, 7).contains("expedited"));
        }
    }

    #[test]
    fn the_cost_is_that_of_bytes_requests_and_the_copy() {
        // 100 GB in 2,000 objects: 1.00 and 0.10 for the retrieval, 0.023 × 100 for a month of the copy.
        let needs = [need(Archive::Glacier, 2000, 100 << 30)];
        let cost = |tier, days| estimate(&needs, tier, days).unwrap().cost.to_string();
        assert_eq!(cost(Tier::Standard, 30), "$3.40");
        assert_eq!(cost(Tier::Bulk, 30), "$2.30");
        assert_eq!(cost(Tier::Expedited, 30), "$25.30");
        let deep = [need(Archive::DeepArchive, 1, 1 << 40)];
        assert_eq!(estimate(&deep, Tier::Bulk, 0).unwrap().cost.to_string(), "$2.57");
    }

    #[test]
    fn what_moves_back_costs_nothing_but_haste() {
        let needs = [need(Archive::TieringArchive, 1, 100 << 30)];
        let cost = |tier| estimate(&needs, tier, 30).unwrap().cost.to_string();
        assert_eq!((cost(Tier::Standard).as_str(), cost(Tier::Expedited).as_str()), ("nothing", "$3.01"));
    }

    #[test]
    fn the_slowest_class_decides_the_time() {
        let needs = [need(Archive::DeepArchive, 1, 1), need(Archive::Glacier, 1, 1)];
        let text = |tier| estimate(&needs, tier, 7).unwrap().typical.to_string();
        assert_eq!(
            (text(Tier::Standard).as_str(), text(Tier::Bulk).as_str()),
            ("up to 12 hours", "up to 48 hours")
        );
        assert_eq!(typical(Archive::Glacier, Tier::Expedited).unwrap().to_string(), "1 to 5 minutes");
        assert_eq!(typical(Archive::Glacier, Tier::Standard).unwrap().to_string(), "3 to 5 hours");
    }

    #[test]
    fn a_price_never_stands_without_its_date() {
        assert!(choices(&[need(Archive::Glacier, 1, 1)], 7).contains("May 2026"));
    }
}

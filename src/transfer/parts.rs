//! Part sizes of multipart uploads. Pure.
//!
//! Limits (S3 user guide, "Multipart upload limits"): 10,000 parts of 5 MiB to 5 GiB, the last may be
//! smaller; so an object has at most 48.8 TiB.

/// Files up to this size go in one request.
pub(super) const SINGLE_PUT_MAX: u64 = 16 << 20;
/// Parts of one upload at most.
pub const MAX_PARTS: u64 = 10_000;
/// Bytes of a part that is not the last, at least.
pub const MIN_PART: u64 = 5 << 20;
/// Bytes of a part at most.
pub const MAX_PART: u64 = 5 << 30;
/// Bytes of an object at most: 48.8 TiB.
pub const MAX_OBJECT: u64 = MAX_PARTS * MAX_PART;

const MIB: u64 = 1 << 20;

/// How a file is cut into parts: all of one size but the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartPlan {
    size: u64,
    part: u64,
}

/// One part: number from 1, offset and length in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// 1 to 10,000.
    pub number: i32,
    /// First byte.
    pub offset: u64,
    /// Bytes.
    pub len: u64,
}

/// A file larger than S3 stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} bytes are more than the 48.8 TiB that an S3 object can have")]
pub struct TooLarge(pub u64);

impl PartPlan {
    /// For a file of `size` bytes, with parts of `smallest` bytes or, where 10,000 of those do not
    /// reach, of the next whole MiB that does.
    ///
    /// # Errors
    /// [`TooLarge`] over 48.8 TiB.
    pub fn new(size: u64, smallest: u64) -> Result<Self, TooLarge> {
        if size > MAX_OBJECT {
            return Err(TooLarge(size));
        }
        let needed = size.div_ceil(MAX_PARTS).next_multiple_of(MIB);
        let part = smallest.clamp(MIN_PART, MAX_PART).max(needed).min(MAX_PART);
        Ok(Self { size, part })
    }

    /// For reading an object of `size` bytes in ranges of `range` bytes: as many as it takes.
    #[must_use]
    pub fn ranges(size: u64, range: u64) -> Self {
        Self { size, part: range.max(1) }
    }

    /// Bytes of each part but the last.
    #[must_use]
    pub const fn part_size(self) -> u64 {
        self.part
    }

    /// How many parts; an empty file has one, empty.
    #[must_use]
    pub fn count(self) -> u64 {
        self.size.div_ceil(self.part).max(1)
    }

    /// The parts in order.
    pub fn parts(self) -> impl Iterator<Item = Part> {
        (0..self.count()).map(move |index| {
            let offset = index * self.part;
            Part {
                number: i32::try_from(index + 1).unwrap_or(i32::MAX),
                offset,
                len: self.part.min(self.size - offset),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn parts_cover_the_file_within_the_limits(
            size in 0..=MAX_OBJECT,
            smallest in MIN_PART..=(64 << 20_u64),
        ) {
            let plan = PartPlan::new(size, smallest).unwrap();
            let mut end = 0;
            let mut count = 0;
            for part in plan.parts() {
                proptest::prop_assert_eq!(part.offset, end);
                proptest::prop_assert!(part.len <= MAX_PART);
                end += part.len;
                count += 1;
                proptest::prop_assert!(part.len >= MIN_PART || end == size);
                proptest::prop_assert_eq!(i64::from(part.number), count);
            }
            proptest::prop_assert_eq!(end, size);
            proptest::prop_assert!(count <= 10_000);
        }
    }

    #[test]
    fn largest_object_fits_and_one_byte_more_does_not() {
        assert_eq!(PartPlan::new(MAX_OBJECT, 8 << 20).unwrap().count(), MAX_PARTS);
        assert_eq!(PartPlan::new(MAX_OBJECT + 1, 8 << 20), Err(TooLarge(MAX_OBJECT + 1)));
    }

    #[test]
    fn two_terabytes_need_parts_of_200_mib() {
        let plan = PartPlan::new(2_000_000_000_000, 8 << 20).unwrap();
        assert_eq!(plan.part_size(), 191 << 20);
    }
}

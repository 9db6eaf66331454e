//! The parts of an upload that are in the bucket. Their checksums are joined as they come: joining those of
//! thousands at the end would keep the line idle.

use std::collections::BTreeMap;

use super::existing::Ours;
use super::reader::Sums;
use crate::bucket::PartReceipt;
use crate::checksum::Fold;

/// One finished part: number, receipt, checksums, and how many of its bytes went over the network.
pub(super) type Done = (i32, PartReceipt, Sums, u64);

/// Parts that are in the bucket.
#[derive(Debug, Default)]
pub(super) struct Arrived {
    receipts: BTreeMap<i32, PartReceipt>,
    crc64: Fold,
    /// Of what S3 verifies, where that is another algorithm.
    wire: Fold,
    /// Bytes that went over the network.
    pub(super) bytes: u64,
}

impl Arrived {
    /// Takes a part, in any order.
    pub(super) fn add(&mut self, (number, receipt, sums, bytes): Done) {
        self.receipts.insert(number, receipt);
        self.bytes += bytes;
        let (crc64, wire) = sums.into_parts();
        self.crc64.add(number, crc64);
        if let Some(wire) = wire {
            self.wire.add(number, wire);
        }
    }

    /// The receipts in their order, and what the object of `size` bytes must be; `verified` tells whether S3
    /// was asked to verify a checksum. None where a part is missing.
    pub(super) fn whole(self, size: u64, verified: bool) -> Option<(Vec<PartReceipt>, Ours)> {
        let crc64 = self.crc64.finish()?;
        let wire = verified.then(|| self.wire.finish().unwrap_or_else(|| crc64.clone()));
        Some((self.receipts.into_values().collect(), Ours { size, crc64, wire }))
    }
}

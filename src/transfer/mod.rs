//! The transfer: files become objects, and objects that S3 confirmed become a [`ConfirmedSet`].
//!
//! What must stay true: each byte is read once, through one handle, and a file that changed is never
//! completed; requests and memory come from one bounded [`Pool`]; nothing counts as stored until it
//! was compared; what is compressed or encrypted on its way has its plain bytes summed in the same read; a dump that
//! was compressed before is decoded in it, and one that is cut short is not completed; nothing is written
//! over without the operator's word.

mod adopted;
mod arrived;
mod begin;
mod confirmed;
mod download;
mod encoded;
mod encoding;
mod error;
mod existing;
mod form;
mod input;
mod job;
mod journal;
mod leftover;
mod multipart;
mod parts;
mod pool;
mod progress;
mod range;
mod ranges;
mod ranked;
mod reader;
mod recoded;
mod remote;
mod room;
mod sealed;
mod sent;
mod shared;
mod small;
mod spool;
mod stream;
mod tap;
mod unpack;
mod upload;
mod uploads;

pub use adopted::AdoptedSet;
pub use confirmed::ConfirmedSet;
pub use download::{Downloader, FetchError, Wanted};
pub use error::{FileError, ShipError};
pub use parts::{MAX_OBJECT, MAX_PART, MAX_PARTS, MIN_PART, PartPlan, TooLarge};
pub use pool::Pool;
pub use progress::{Event, Events, FileProgress};
pub use ranges::{FileRanges, Ranges};
pub use ranked::{Permit, Rank, Ranked};
pub use remote::RemoteFile;
pub use sealed::Sealed;
pub use shared::Settings;
pub use tap::Watch;
pub use unpack::{Folder, file_of_stored, stored_name};
pub use upload::{Order, Uploader};
pub use uploads::{Begun, Uploads};

/// Bytes over seconds as people read it: `118.4 MB/s`.
#[must_use]
pub fn rate(bytes: u64, seconds: f64) -> String {
    #[allow(clippy::cast_precision_loss, reason = "three digits are shown")]
    let rate = bytes as f64 / 1e6 / seconds.max(1e-6);
    format!("{rate:.1} MB/s")
}

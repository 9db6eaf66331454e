//! This machine's files: walking a source, and reading one file through one handle.
//!
//! What must stay true: nothing in a source is ever written, and a symbolic link below it is never
//! followed.

mod excludes;
mod handle;
mod lease;
pub mod settle;
mod stamp;
mod walk;

pub use excludes::Excludes;
pub use handle::{Changed, OpenError, OpenFile};
pub use stamp::Stamp;
pub(crate) use walk::{Kind, Next, Seen, walk};

/// stub
pub fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().split('.').next().unwrap_or("localhost").to_owned()
}
/// Whether the path still names the file that `stamp` describes, untouched.
pub fn still_the_same(path: &std::path::Path, stamp: &Stamp) -> Result<(), Changed> {
    match OpenFile::open(path) { Ok(open) => open.verify_unchanged(stamp), Err(_) => Err(Changed::Vanished) }
}

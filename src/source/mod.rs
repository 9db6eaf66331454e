//! This machine's files: walking a source, and reading one file through one handle. And its name.
//!
//! What must stay true: nothing in a source is ever written, and a symbolic link below it is never
//! followed.

mod cached;
mod excludes;
mod handle;
mod lease;
pub mod settle;
mod stamp;
mod walk;

pub use excludes::Excludes;
pub use handle::{Changed, OpenError, OpenFile, still_the_same};
pub use stamp::Stamp;
pub(crate) use walk::{Kind, Next, walk};

/// The folder that a file system check fills; readable by root alone, and no place for backups.
pub const LOST_AND_FOUND: &str = "lost+found";

/// The host's own name, up to its first dot, for records and reports.
#[must_use]
pub fn host_name() -> String {
    let system = rustix::system::uname();
    let name = system.nodename().to_string_lossy();
    let short = name.split('.').next().unwrap_or_default();
    if short.is_empty() { "localhost".to_owned() } else { short.to_owned() }
}

/// Whether this user may read the file, without opening it.
///
/// # Errors
/// The system's reason.
pub fn may_read(path: &std::path::Path) -> std::io::Result<()> {
    use rustix::fs::{Access, AtFlags, CWD, accessat};
    accessat(CWD, path, Access::READ_OK, AtFlags::EACCESS).map_err(Into::into)
}

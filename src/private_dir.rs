//! Directories of what a host remembers and says: logs and records name every backup, so the rest of the users
//! stay out, whichever command makes the directory first.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

/// Makes the directory and those above it that are missing, for its owner and group.
///
/// # Errors
/// The system's.
pub(crate) fn make(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o750).create(dir)
}

//! The terminal: results on standard output, progress on standard error. Nothing else prints.

mod progress;

use std::io::{self, IsTerminal as _, Write as _};

pub use progress::{Bars, Lines, Waiting};

/// Writes a result to standard output. A reader that went away (`| head`) is no error.
///
/// # Errors
/// The system's, saying what was written.
pub fn result(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let written = out
        .write_all(text.as_bytes())
        .and_then(|()| if text.ends_with('\n') { Ok(()) } else { out.write_all(b"\n") });
    match written.and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => {
            other.map_err(|error| io::Error::new(error.kind(), format!("write standard output: {error}")))
        }
    }
}

/// Writes a line to standard error, where it is not worth a log entry.
pub fn notice(text: &str) {
    // With standard error closed there is nobody to tell.
    let _closed = writeln!(io::stderr().lock(), "{text}");
}

/// Whether a person watches standard error.
#[must_use]
pub fn is_watched() -> bool {
    io::stderr().is_terminal()
}

//! The one question that needs a raw system call: does anybody have this file open for writing?
//!
//! `fcntl(F_SETLEASE, F_RDLCK)` is granted by Linux only where no process on this machine has the
//! file open for writing (`fcntl(2)`, "Leases"). Writers on other machines (NFS, SMB) are not seen.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// `F_SETSIG` of `fcntl(2)`, which the libc crate lacks for this target; the same number on every
/// architecture that Rust supports with Linux (`asm-generic/fcntl.h`).
const F_SETSIG: libc::c_int = 10;

/// What the kernel said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lease {
    /// No process has it open for writing.
    NoWriter,
    /// Some process has.
    Writer,
    /// Not ours to ask (another owner's file without `CAP_LEASE`), or not on this file system.
    Unknown,
}

/// Takes a read lease on `file`, which must be open for reading only, and gives it back at once.
pub(super) fn ask(file: &File) -> Lease {
    // If somebody opens the file for writing in the moment between, the kernel tells the holder by a
    // signal: SIGIO, which would end this process. SIGURG is ignored where nobody asks for it.
    if fcntl(file, F_SETSIG, libc::SIGURG).is_err() {
        return Lease::Unknown;
    }
    match fcntl(file, libc::F_SETLEASE, libc::F_RDLCK) {
        Ok(()) => {
            // Closing the file would give it back too, so a failure here has no effect that lasts.
            let _ = fcntl(file, libc::F_SETLEASE, libc::F_UNLCK);
            Lease::NoWriter
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Lease::Writer,
        Err(_) => Lease::Unknown,
    }
}

fn fcntl(file: &File, command: libc::c_int, argument: libc::c_int) -> io::Result<()> {
    // SAFETY: the descriptor is open for as long as `file` is borrowed; `F_SETSIG` and `F_SETLEASE`
    // take an int and touch no memory of this process.
    let answer = unsafe { libc::fcntl(file.as_raw_fd(), command, argument) };
    if answer == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

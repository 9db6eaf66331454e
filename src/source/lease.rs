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
    /// The file lies on another machine, whose processes this kernel does not know.
    Remote,
}

/// Takes a read lease on `file`, which must be open for reading only, and gives it back at once.
pub(super) fn ask(file: &File) -> Lease {
    // NFS 4 and SMB answer EAGAIN wherever the server has not lent the file to this client: that is no
    // writer. And of writers on other machines no local answer speaks.
    if is_remote(file) {
        return Lease::Remote;
    }
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

/// `f_type` of NFS, SMB 1, CIFS, SMB 2 and 3, FUSE (sshfs and others), 9p, Ceph and AFS (`statfs(2)`).
const REMOTE: [u64; 8] =
    [0x6969, 0x517b, 0xff53_4d42, 0xfe53_4d42, 0x6573_5546, 0x0102_1997, 0x00c3_6400, 0x5346_414f];

fn is_remote(file: &File) -> bool {
    rustix::fs::fstatfs(file).is_ok_and(|system| is_remote_type(system.f_type))
}

/// The type has another width and sign on other architectures.
fn is_remote_type(kind: impl TryInto<i64>) -> bool {
    let kind = kind.try_into().map(|kind: i64| kind.cast_unsigned() & 0xffff_ffff);
    kind.is_ok_and(|kind| REMOTE.contains(&kind))
}

fn fcntl(file: &File, command: libc::c_int, argument: libc::c_int) -> io::Result<()> {
    // SAFETY: the descriptor is open for as long as `file` is borrowed; `F_SETSIG` and `F_SETLEASE`
    // take an int and touch no memory of this process.
    let answer = unsafe { libc::fcntl(file.as_raw_fd(), command, argument) };
    if answer == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

//! A good neighbour of the database: what this process takes of processor and disk, it takes after others.
//!
//! Linux keeps both by thread, and a new thread has those of the one that began it; so all there are now are
//! told. `ioprio_set(2)` has no wrapper in the libraries used here.
#![allow(unsafe_code)]

use std::fs;
use std::io;

use rustix::process::Pid;

/// `[backup] io_class`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IoClass {
    /// Its turn comes, with the least weight.
    BestEffort,
    /// Its turn comes when nobody else wants the disk.
    Idle,
}

/// `IOPRIO_WHO_PROCESS` of `linux/ioprio.h`: one thread.
const WHO_PROCESS: libc::c_int = 1;
/// `IOPRIO_CLASS_SHIFT` of `linux/ioprio.h`.
const CLASS_SHIFT: libc::c_int = 13;

impl IoClass {
    /// Class and level as the kernel takes them: 2 is best effort, of which 7 is the lowest level; 3 is idle.
    const fn value(self) -> libc::c_int {
        match self {
            Self::BestEffort => (2 << CLASS_SHIFT) | 7,
            Self::Idle => 3 << CLASS_SHIFT,
        }
    }
}

/// Puts every thread of this process behind others, by `nice` (0 to 19, 0 for no change) and disk class.
///
/// # Errors
/// The system's.
pub fn step_back(nice: u8, io_class: Option<IoClass>) -> io::Result<()> {
    if nice == 0 && io_class.is_none() {
        return Ok(());
    }
    for thread in fs::read_dir("/proc/self/task")? {
        let name = thread?.file_name();
        let Some(thread) = name.to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw) else {
            continue;
        };
        // Nobody may be less nice than before, so a higher value that is there stays.
        if nice > 0 && rustix::process::getpriority_process(Some(thread))? < i32::from(nice) {
            rustix::process::setpriority_process(Some(thread), i32::from(nice))?;
        }
        if let Some(class) = io_class {
            // SAFETY: three numbers, no memory.
            let set = unsafe {
                libc::syscall(libc::SYS_ioprio_set, WHO_PROCESS, thread.as_raw_nonzero().get(), class.value())
            };
            if set != 0 {
                return Err(io::Error::last_os_error());
            }
        }
    }
    Ok(())
}

//! How little a throwaway server may do, and how little it may take from the host: set in the new process between
//! fork and exec.
//!
//! What must stay true: where this process is root, a program of the throwaway's runs as nobody, cannot get rights
//! back, and does not outlive the thread that started it. There only calls are made that `signal-safety(7)` allows,
//! on what was laid ready before the fork: no allocation, no lock.
#![allow(unsafe_code)]

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::process::Command;

/// The user and group `nobody` of every Linux, the kernel's own number for whoever has none
/// (`/proc/sys/kernel/overflowuid`).
pub(super) const NOBODY: u32 = 65534;

/// `IOPRIO_WHO_PROCESS`, and `IOPRIO_CLASS_IDLE` at its place, of `linux/ioprio.h`.
const IO_OF_PROCESS: libc::c_int = 1;
const IO_IDLE: libc::c_int = 3 << 13;
/// As nice as 10, or as this process is where that is more.
const NICE: libc::c_int = 10;

/// Whose rights a program has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rights {
    /// Those of this process, which is not root's.
    Own,
    /// Nobody's.
    Nobody,
}

/// Whom a program can reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Network {
    /// Whom everybody here can.
    Hosts,
    /// Nobody, not even by the host's own addresses.
    Empty,
}

/// The confinement of all programs of one throwaway.
#[derive(Debug, Clone)]
pub(super) struct Confined {
    rights: Rights,
    network: Network,
    way: Option<Arc<Way>>,
}

/// The way to a directory through others that are closed to nobody, such as `[state] dir`, laid anew for the program
/// alone and under the same names: an empty file system over the first that is closed, and the directory itself at its
/// place in it.
#[derive(Debug)]
struct Way {
    over: CString,
    /// Directories to make on it, above the goal.
    steps: Vec<CString>,
    goal: CString,
    /// Directory below the goal to begin in.
    home: CString,
}

impl Confined {
    /// Programs that need nothing of the host's data but `place`, an absolute path without links, and begin in `home`
    /// below it.
    ///
    /// # Errors
    /// Where the directories above cannot be looked at.
    pub(super) fn to(place: &Path, home: &Path) -> io::Result<Self> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self { rights: Rights::Own, network: Network::Hosts, way: None });
        }
        let way = closed(place)?.map(|over| Way::to(place, home, &over)).transpose()?;
        Ok(Self { rights: Rights::Nobody, network: Network::Empty, way: way.map(Arc::new) })
    }

    /// The same without what some containers do not allow; none where that is needed.
    pub(super) fn less(&self) -> Option<Self> {
        let less = self.network == Network::Empty && self.way.is_none();
        less.then(|| Self { network: Network::Hosts, ..self.clone() })
    }

    pub(super) fn rights(&self) -> Rights {
        self.rights
    }

    pub(super) fn network(&self) -> Network {
        self.network
    }

    /// Makes `command` start so, with no more of a network than that. It has to be started by a thread that lives as
    /// long as it should.
    pub(super) fn apply(&self, command: &mut Command, network: Network) {
        let network = if network == Network::Hosts { network } else { self.network };
        let nice = rustix::process::getpriority_process(None).unwrap_or(0).max(NICE);
        let of = Self { network, ..self.clone() };
        let steps = Steps { of, parent: std::process::id(), nice };
        // SAFETY: `take` makes system calls alone, as the module says.
        unsafe { command.pre_exec(move || steps.take()) };
    }
}

/// The first directory on the way to `dir` that nobody may not pass through.
fn closed(dir: &Path) -> io::Result<Option<PathBuf>> {
    let mut above: Vec<&Path> = dir.ancestors().skip(1).collect();
    above.reverse();
    for path in above {
        if path.metadata()?.permissions().mode() & 0o001 == 0 {
            return Ok(Some(path.to_owned()));
        }
    }
    Ok(None)
}

impl Way {
    fn to(goal: &Path, home: &Path, over: &Path) -> io::Result<Self> {
        let name = |path: &Path| CString::new(path.as_os_str().as_bytes()).map_err(io::Error::other);
        let mut steps: Vec<&Path> = goal.ancestors().skip(1).take_while(|path| *path != over).collect();
        steps.reverse();
        let steps = steps.into_iter().map(name).collect::<io::Result<_>>()?;
        Ok(Self { over: name(over)?, steps, goal: name(goal)?, home: name(home)? })
    }
}

/// What happens in the new process.
struct Steps {
    of: Confined,
    parent: u32,
    nice: libc::c_int,
}

impl Steps {
    fn take(&self) -> io::Result<()> {
        step_back(self.nice);
        limit_core()?;
        part(self.of.network, self.of.way.as_deref())?;
        if self.of.rights == Rights::Nobody {
            become_nobody()?;
        }
        // SAFETY: numbers alone. Last, since a change of user forgets the signal.
        unsafe {
            done(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))?;
            done(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0))?;
            // It may have ended before that was set.
            if libc::getppid().cast_unsigned() != self.parent {
                return Err(io::Error::from_raw_os_error(libc::ESRCH));
            }
        }
        Ok(())
    }
}

fn done(result: libc::c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// After everybody else at processor and disk, and first when memory runs out. A system that does not have one of
/// these is no reason against a drill.
fn step_back(nice: libc::c_int) {
    const WORST: &[u8] = b"1000";
    // SAFETY: constants that end with zero, a buffer with its length, a descriptor of our own, numbers.
    unsafe {
        let file = libc::open(c"/proc/self/oom_score_adj".as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        if file >= 0 {
            libc::write(file, WORST.as_ptr().cast(), WORST.len());
            libc::close(file);
        }
        libc::setpriority(libc::PRIO_PROCESS, 0, nice);
        libc::syscall(libc::SYS_ioprio_set, IO_OF_PROCESS, 0, IO_IDLE);
    }
}

/// A dump of memory would hold the customer's rows, and lie outside the drill's directory.
fn limit_core() -> io::Result<()> {
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a structure that lives as long as the call.
    done(unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const none) })
}

fn part(network: Network, way: Option<&Way>) -> io::Result<()> {
    let network = match network {
        Network::Hosts => 0,
        Network::Empty => libc::CLONE_NEWNET,
    };
    // SAFETY: numbers; strings that end with zero and live as long as the calls; null where the calls take none.
    unsafe {
        let Some(way) = way else {
            return if network == 0 { Ok(()) } else { done(libc::unshare(network)) };
        };
        let goal = way.goal.as_ptr();
        // The directory one is in is the only name of it that stays when the way to it is covered.
        done(libc::chdir(goal))?;
        done(libc::unshare(network | libc::CLONE_NEWNS))?;
        // What is mounted from here on is not seen outside.
        let (none, data) = (std::ptr::null(), std::ptr::null());
        done(libc::mount(none, c"/".as_ptr(), none, libc::MS_REC | libc::MS_PRIVATE, data))?;
        let (kind, flags) = (c"tmpfs".as_ptr(), libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC);
        done(libc::mount(kind, way.over.as_ptr(), kind, flags, c"mode=0711,size=64k".as_ptr().cast()))?;
        for step in &way.steps {
            passable(step.as_ptr())?;
        }
        passable(goal)?;
        done(libc::mount(c".".as_ptr(), goal, none, libc::MS_BIND, data))?;
        done(libc::chdir(way.home.as_ptr()))?;
    }
    Ok(())
}

/// Makes a directory; the mask of the process would take the right to pass through.
///
/// # Safety
/// `path` ends with zero.
unsafe fn passable(path: *const libc::c_char) -> io::Result<()> {
    // SAFETY: the caller's.
    unsafe {
        done(libc::mkdir(path, 0o711))?;
        done(libc::chmod(path, 0o711))
    }
}

fn become_nobody() -> io::Result<()> {
    // SAFETY: numbers, and an empty list of groups.
    unsafe {
        done(libc::setgroups(0, std::ptr::null()))?;
        done(libc::setresgid(NOBODY, NOBODY, NOBODY))?;
        done(libc::setresuid(NOBODY, NOBODY, NOBODY))
    }
}

/// Gives a directory to whom the programs run as.
pub(super) fn hand_over(dir: &Path, rights: Rights) -> io::Result<()> {
    match rights {
        Rights::Own => Ok(()),
        Rights::Nobody => std::os::unix::fs::lchown(dir, Some(NOBODY), Some(NOBODY)),
    }
}

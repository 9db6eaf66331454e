//! A program that is run with all that it starts: they are one group, and end together.
//!
//! What must stay true: what is given up is gone, with its own children, before anything else is done. What a
//! program left in its group when it ended by itself is its own affair.

use std::io;
use std::process::{ExitStatus, Output};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};

/// How often it is asked whether a program has ended.
const STEP: Duration = Duration::from_millis(20);
/// Longest wait for one that was killed: the kernel takes no time, but for one that hangs in a disk.
const KILLED: Duration = Duration::from_secs(2);
/// Longest wait in a drop, where nothing else goes on meanwhile.
const DROPPED: Duration = Duration::from_secs(1);

/// A program under way that leads a group of processes; the whole group is ended where this is dropped before
/// [`Self::wait`] has told of its end.
#[derive(Debug)]
pub(crate) struct Group {
    child: Child,
    /// The group's number, as long as its leader was not waited for: no other process can have it until then.
    number: Option<Pid>,
    /// How long it may take to end by itself, once it is told to; zero kills at once.
    grace: Duration,
}

impl Group {
    /// Puts the program that `command` will start into a group of its own.
    pub(crate) fn lead(command: &mut Command) {
        command.process_group(0);
    }

    /// Takes over a program that was started so.
    pub(crate) fn of(child: Child, grace: Duration) -> Self {
        let number = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        Self { child, number, grace }
    }

    /// Its streams are there, as far as they are pipes.
    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Waits for its end.
    pub(crate) async fn wait(&mut self) -> io::Result<ExitStatus> {
        let status = self.child.wait().await?;
        self.number = None;
        Ok(status)
    }

    /// Its end, where that is there already.
    pub(crate) fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        let status = self.child.try_wait()?;
        if status.is_some() {
            self.number = None;
        }
        Ok(status)
    }

    /// Waits for its end, and takes what it says.
    pub(crate) async fn output(mut self) -> io::Result<Output> {
        let (out, err) = (self.child.stdout.take(), self.child.stderr.take());
        let (stdout, stderr, status) = tokio::join!(all(out), all(err), self.wait());
        Ok(Output { status: status?, stdout: stdout?, stderr: stderr? })
    }

    /// Sends every process of it a signal.
    ///
    /// # Errors
    /// The system's; none where it has ended.
    pub(crate) fn signal(&self, signal: Signal) -> io::Result<()> {
        self.number.map_or(Ok(()), |number| Ok(kill_process_group(number, signal)?))
    }

    /// Ends all of it: politely, and where that takes longer than its grace, or leaves somebody, otherwise.
    pub(crate) async fn end(mut self) {
        let told = Instant::now();
        let _gone_already = self.signal(Signal::TERM);
        while !self.has_ended() && told.elapsed() < self.grace {
            tokio::time::sleep(STEP).await;
        }
        let _gone_already = self.signal(Signal::KILL);
        let _reaped = tokio::time::timeout(KILLED, self.wait()).await;
    }

    /// Whether its leader has; it is not waited for, so that the group's number stays its own.
    fn has_ended(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        self.number.is_none_or(|number| !matches!(waitid(WaitId::Pid(number), options), Ok(None)))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if self.number.is_none() {
            return;
        }
        let begun = Instant::now();
        if !self.grace.is_zero() {
            let _gone_already = self.signal(Signal::TERM);
            while !self.has_ended() && begun.elapsed() < self.grace.min(DROPPED) {
                std::thread::sleep(STEP);
            }
        }
        let _gone_already = self.signal(Signal::KILL);
        let killed = Instant::now();
        while !self.has_ended() && killed.elapsed() < KILLED {
            std::thread::sleep(STEP);
        }
        let _reaped = self.child.try_wait();
    }
}

async fn all(stream: Option<impl AsyncRead + Unpin>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(mut stream) = stream {
        stream.read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
}

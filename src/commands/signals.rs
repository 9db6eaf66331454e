//! SIGINT, SIGTERM and SIGHUP end a run cleanly: what is under way is given up, logged, and gone on with by the
//! next run.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::model::ExitCode;

/// A process that has not ended so long after a signal is ended.
const LAST: Duration = Duration::from_secs(9);

/// Which signal came, if one did, and the token that tells everybody.
#[derive(Debug, Clone, Default)]
pub(super) struct Signals {
    token: CancellationToken,
    code: Arc<AtomicU8>,
}

impl Signals {
    /// Begins to listen. A second signal ends the process at once, and so does time.
    pub(super) fn listen() -> std::io::Result<Self> {
        let this = Self::default();
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hangup = if ignores_hangup() { None } else { Some(signal(SignalKind::hangup())?) };
        let signals = this.clone();
        tokio::spawn(async move {
            let mut next = async || {
                tokio::select! {
                    _ = interrupt.recv() => ExitCode::Interrupted,
                    _ = terminate.recv() => ExitCode::Terminated,
                    () = hung_up(&mut hangup) => ExitCode::HungUp,
                }
            };
            let code = next().await;
            tracing::warn!("interrupted: ending; a second signal ends at once");
            signals.code.store(code.number(), Ordering::Relaxed);
            signals.token.cancel();
            // Whatever stands still then (a pipe that nobody reads, a dead network file system) never ends.
            let code = tokio::time::timeout(LAST, next()).await.unwrap_or(code);
            std::process::exit(i32::from(code.number()));
        });
        Ok(this)
    }

    /// Cancelled by the first signal.
    #[must_use]
    pub(super) fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// The exit code of the signal that came.
    #[must_use]
    pub(super) fn exit_code(&self) -> Option<ExitCode> {
        match self.code.load(Ordering::Relaxed) {
            129 => Some(ExitCode::HungUp),
            130 => Some(ExitCode::Interrupted),
            143 => Some(ExitCode::Terminated),
            _ => None,
        }
    }
}

/// Under `nohup` that signal is ignored, and has to stay so: to listen would be to hear it.
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    // SIGHUP is 1, the lowest bit (`proc_pid_status(5)`).
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

async fn hung_up(hangup: &mut Option<Signal>) {
    match hangup {
        Some(hangup) => {
            hangup.recv().await;
        }
        None => std::future::pending().await,
    }
}

//! Who starts the throwaway's programs.
//!
//! The kernel ends them with the thread that started them, so that none is left running however this process ends; and
//! a thread of the runtime may end before it does.

use std::io;
use std::sync::mpsc;

use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

struct Order {
    command: Command,
    runtime: Handle,
    reply: oneshot::Sender<io::Result<Child>>,
}

/// A thread that starts programs, and lives as long as this.
#[derive(Debug)]
pub(super) struct Starter(mpsc::Sender<Order>);

impl Starter {
    pub(super) fn new() -> io::Result<Self> {
        let (orders, received) = mpsc::channel::<Order>();
        std::thread::Builder::new().name("drill".to_owned()).spawn(move || {
            while let Ok(Order { mut command, runtime, reply }) = received.recv() {
                let _entered = runtime.enter();
                let _nobody_waits = reply.send(command.spawn());
            }
        })?;
        Ok(Self(orders))
    }

    pub(super) async fn spawn(&self, command: Command) -> io::Result<Child> {
        let (reply, started) = oneshot::channel();
        let ended = || io::Error::other("internal: the thread that starts programs ended");
        self.0.send(Order { command, runtime: Handle::current(), reply }).map_err(|_| ended())?;
        started.await.map_err(|_| ended())?
    }
}

//! The program as a process: under way, and how it ended.

use std::io::Read as _;
use std::process::Child;

use serde_json::Value;

/// How the program ended, and what it said.
#[derive(Debug)]
pub struct Output {
    pub code: i32,
    pub stdout: String,
    pub raw: Vec<u8>,
    pub stderr: String,
}

impl Output {
    /// Fails with everything that was said unless the exit code is this.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "exit code\n--- stdout\n{}\n--- stderr\n{}", self.stdout, self.stderr);
        self
    }

    /// Fails unless standard error holds the text.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "`{text}` is not in\n{}", self.stderr);
        self
    }

    /// Standard output as exactly one JSON document.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error} in\n{}", self.stdout))
    }
}

/// A program under way; it is killed where the test ends before it.
pub struct Running(Option<Child>);

impl Running {
    /// With standard output and standard error piped.
    pub fn new(child: Child) -> Self {
        Self(Some(child))
    }

    pub fn id(&self) -> u32 {
        self.0.as_ref().unwrap().id()
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(self.id().cast_signed()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    pub fn finish(mut self) -> Output {
        finished(self.0.take().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _gone = child.kill();
            let _reaped = child.wait();
        }
    }
}

/// Reads what it says to its end, then its exit code; a signal counts as 128 and its number.
fn finished(mut child: Child) -> Output {
    use std::os::unix::process::ExitStatusExt as _;
    let mut stderr = child.stderr.take().unwrap();
    let said = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        stderr.read_to_end(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    });
    let mut raw = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut raw).unwrap();
    let status = child.wait().unwrap();
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default());
    Output { code, stdout: String::from_utf8_lossy(&raw).into_owned(), raw, stderr: said.join().unwrap() }
}

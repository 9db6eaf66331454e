//! Progress bars: one for each file in flight, one for the whole. Only on a terminal.

use std::collections::HashMap;
use std::io;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

use crate::transfer::{Event, Events};

/// Bars shown at once; more would scroll the terminal.
const MAX_BARS: usize = 8;

/// Where log lines go so that they do not tear the bars: standard error, bars set aside meanwhile.
#[derive(Debug, Clone, Default)]
pub struct Lines {
    bars: MultiProgress,
}

/// The bars of one transfer.
#[derive(Debug)]
pub struct Bars {
    task: Option<JoinHandle<()>>,
}

/// One line that changes while something is waited for; gone when this is dropped.
#[derive(Debug)]
pub struct Waiting {
    bar: ProgressBar,
}

impl Waiting {
    /// What is shown from now on.
    pub fn say(&self, text: &str) {
        self.bar.set_message(text.to_owned());
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

impl Lines {
    /// A line for a wait; nothing where nobody watches.
    #[must_use]
    pub fn waiting(&self, quiet: bool) -> Waiting {
        if quiet || !super::is_watched() {
            return Waiting { bar: ProgressBar::hidden() };
        }
        let bar = self.bars.add(ProgressBar::new_spinner().with_style(style("{spinner} {wide_msg}")));
        bar.enable_steady_tick(Duration::from_millis(500));
        Waiting { bar }
    }

    /// Shows a transfer of `total` bytes; nothing where nobody watches. The events go to whoever
    /// transfers.
    #[must_use]
    pub fn watch(&self, verb: &'static str, total: u64, quiet: bool) -> (Bars, Events) {
        if quiet || !super::is_watched() {
            return (Bars { task: None }, Events::default());
        }
        let (sender, receiver): (UnboundedSender<Event>, _) = unbounded_channel();
        let task = tokio::spawn(draw(self.bars.clone(), verb, total, receiver));
        (Bars { task: Some(task) }, Events::to(sender))
    }
}

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bars.suspend(|| io::stderr().lock().write_all(bytes))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().lock().flush()
    }
}

impl Bars {
    /// Waits until the last event is drawn; every holder of the events must be gone by then.
    pub async fn finish(self) {
        if let Some(task) = self.task {
            // A drawing task that failed has nothing more to show.
            let _failed = task.await;
        }
    }
}

async fn draw(bars: MultiProgress, verb: &'static str, total: u64, mut events: UnboundedReceiver<Event>) {
    let whole = bars.add(ProgressBar::new(total).with_style(style(
        "{msg:32!} {wide_bar} {bytes:>10}/{total_bytes:10} {bytes_per_sec:>12} {eta:>4} left",
    )));
    whole.set_message(verb);
    let mut files: HashMap<u64, (ProgressBar, bool)> = HashMap::new();
    let mut shown = 0;
    while let Some(event) = events.recv().await {
        match event {
            Event::Started { file, label, bytes } => {
                let show = shown < MAX_BARS;
                let bar = if show {
                    shown += 1;
                    bars.insert_before(&whole, ProgressBar::new(bytes).with_style(style(
                        "  {msg:30!} {wide_bar} {bytes:>10}/{total_bytes:10} {bytes_per_sec:>12} {eta:>4} left",
                    )))
                } else {
                    ProgressBar::hidden()
                };
                bar.set_message(label);
                files.insert(file, (bar, show));
            }
            Event::Advanced { file, bytes } => {
                whole.inc(bytes);
                if let Some((bar, _)) = files.get(&file) {
                    bar.inc(bytes);
                }
            }
            Event::Ended { file } => {
                if let Some((bar, show)) = files.remove(&file) {
                    bar.finish_and_clear();
                    bars.remove(&bar);
                    shown -= usize::from(show);
                }
            }
        }
    }
    whole.finish_and_clear();
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

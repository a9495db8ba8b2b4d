//! Bars on a terminal's standard error, for what takes long enough to be seen.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// What is over by then shows no bar.
const SHOWN_AFTER: Duration = Duration::from_secs(1);

/// A bar that comes up with its first step after the first second.
#[derive(Clone)]
pub(crate) struct Progress {
    bar: ProgressBar,
    start: Instant,
    /// Whether there is somebody to see it.
    seen: bool,
}

/// A bar over bytes, with their rate and the time left.
pub(crate) fn bytes(all: usize) -> Progress {
    bar(all as u64, "{bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta} left")
}

/// A bar over things of which there are `all`, with a message.
pub(crate) fn things(all: usize) -> Progress {
    bar(all as u64, "{bar:30} {pos}/{len} {msg} {eta}")
}

fn bar(len: u64, template: &str) -> Progress {
    let bar = ProgressBar::with_draw_target(Some(len), ProgressDrawTarget::hidden());
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    Progress { bar, start: Instant::now(), seen: std::io::stderr().is_terminal() }
}

impl Progress {
    /// So many bytes or things more are done.
    pub(crate) fn inc(&self, more: u64) {
        if self.seen && self.bar.is_hidden() && self.start.elapsed() >= SHOWN_AFTER {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
            self.bar.enable_steady_tick(Duration::from_secs(1));
        }
        self.bar.inc(more);
    }

    /// What is worked on now.
    pub(crate) fn set_message(&self, message: String) {
        self.bar.set_message(message);
    }

    /// Takes the bar away.
    pub(crate) fn finish_and_clear(&self) {
        self.bar.finish_and_clear();
    }
}

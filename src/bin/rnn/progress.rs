//! Progress bars on a terminal's standard error.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Work that is over by then shows no bar.
const SHOWN_AFTER: Duration = Duration::from_secs(1);

/// A bar that appears with the first step after the first second.
#[derive(Clone)]
pub(crate) struct Bar {
    pub(crate) display: ProgressBar,
    start: Instant,
    is_terminal: bool,
}

/// A bar over bytes, with their rate and the time left. It is never `shown` if they are part of the work of another bar.
pub(crate) fn bytes(all: usize, shown: bool) -> Bar {
    let bar = bar(all as u64, "{bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta} left");
    Bar { is_terminal: bar.is_terminal && shown, ..bar }
}

/// A bar over `all` things, with a message.
pub(crate) fn things(all: usize) -> Bar {
    bar(all as u64, "{bar:30} {pos}/{len} {msg} {eta}")
}

fn bar(len: u64, template: &str) -> Bar {
    let bar = ProgressBar::with_draw_target(Some(len), ProgressDrawTarget::hidden());
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    Bar { display: bar, start: Instant::now(), is_terminal: std::io::stderr().is_terminal() }
}

impl Bar {
    /// Counts `more` bytes or things as done.
    pub(crate) fn inc(&self, more: u64) {
        if self.is_terminal && self.display.is_hidden() && self.start.elapsed() >= SHOWN_AFTER {
            self.display.set_draw_target(ProgressDrawTarget::stderr());
            self.display.enable_steady_tick(Duration::from_secs(1));
        }
        self.display.inc(more);
    }
}

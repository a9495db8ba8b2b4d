//! Bars on a terminal's standard error, for what takes long enough to be seen.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A bar over bytes, with their rate and the time left. It comes up with its first step after the first
/// second; bytes of a pass that is over by then are never shown.
pub(crate) fn bytes(all: usize) -> ProgressBar {
    bar(all as u64, "{bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta} left")
}

/// A bar over things of which there are `all`, with a message.
pub(crate) fn things(all: usize) -> ProgressBar {
    bar(all as u64, "{bar:30} {pos}/{len} {msg} {eta}")
}

fn bar(len: u64, template: &str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(len);
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_secs(1));
    bar
}

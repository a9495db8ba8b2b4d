//! Progress bars on a terminal's standard error.

use std::fmt::Write;
use std::io::IsTerminal;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use elman::Config;
use elman::files::{File, StoredType, bytes_passed};
use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

/// Work that is over by then shows no bar.
const SHOWN_AFTER: Duration = Duration::from_secs(1);
/// Time from one look at the bytes of files to the next.
const LOOK: Duration = Duration::from_millis(200);

/// A bar that appears with the first step after the first second.
#[derive(Clone)]
pub(crate) struct Bar {
    pub(crate) display: ProgressBar,
    start: Instant,
    is_terminal: bool,
}

/// A bar over bytes, with their rate and the time left. It is never `shown` if they are part of the work of another bar.
pub(crate) fn bytes(all: usize, shown: bool) -> Bar {
    let bar = bar(all as u64, "{bar:30} {bytes}/{total_bytes}, {bytes_per_sec}, {left} left");
    Bar { is_terminal: bar.is_terminal && shown, ..bar }
}

/// A bar over `all` things of this name, with their rate and the time left.
pub(crate) fn things(all: usize, name: &'static str) -> Bar {
    let bar = bar(all as u64, "{bar:30} {pos}/{len} {msg}, {rate}/s, {left} left");
    bar.display.set_message(name);
    bar
}

/// A bar over this many steps of sequences, in every layer and direction. It is never `shown` if they are part of the
/// work of another bar.
pub(crate) fn steps(config: &Config, rows: usize, shown: bool) -> Bar {
    let cells = config.num_layers * config.num_directions();
    let bar = things(rows.saturating_mul(cells), "steps of layers");
    Bar { is_terminal: bar.is_terminal && shown, ..bar }
}

/// A bar over the bytes that the process reads from files and writes to them, until they are `all`, which is about as many
/// as they will be, or the result is dropped.
pub(crate) fn transfer(all: usize) -> Transfer {
    let bar = bytes(all, true);
    if !bar.is_terminal {
        return Transfer { stop: None, thread: None };
    }
    let (stop, stopped) = channel();
    let mut before = bytes_passed();
    let show = move || {
        let mut left = all as u64;
        while left > 0 && stopped.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
            let now = bytes_passed();
            bar.inc(now - before);
            left = left.saturating_sub(now - before);
            before = now;
        }
        bar.display.finish_and_clear();
    };
    // Without the thread there is no bar.
    Transfer { stop: Some(stop), thread: Builder::new().spawn(show).ok() }
}

/// A bar over the bytes of the numbers of these files while they are read.
pub(crate) fn reading<'a>(files: impl IntoIterator<Item = &'a File>) -> Transfer {
    let bytes = |shape: &[usize], stored: StoredType| {
        shape.iter().fold(stored.size(), |bytes, &size| bytes.saturating_mul(size))
    };
    let of_file = |file: &File| match file {
        File::Tensor(file) => bytes(&file.header().shape, file.header().stored),
        File::Bundle(bundle) => {
            let all = bundle.entries().iter().map(|entry| bytes(&entry.shape, entry.stored));
            all.fold(0, usize::saturating_add)
        }
        #[cfg(feature = "onnx")]
        File::Graph(_) => 0,
    };
    transfer(files.into_iter().map(of_file).fold(0, usize::saturating_add))
}

/// A bar that shows by itself.
pub(crate) struct Transfer {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Transfer {
    fn drop(&mut self) {
        self.stop = None;
        // Its panic would be a second one.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn bar(len: u64, template: &str) -> Bar {
    let bar = ProgressBar::with_draw_target(Some(len), ProgressDrawTarget::hidden());
    let is_terminal = std::io::stderr().is_terminal();
    if is_terminal && let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.with_key("rate", rate).with_key("left", left));
    }
    Bar { display: bar, start: Instant::now(), is_terminal }
}

/// Things in a second, with a fraction if they are few.
fn rate(state: &ProgressState, out: &mut dyn Write) {
    let rate = state.per_sec();
    let digits = usize::from(rate < 10.0);
    // A failed write leaves the bar shorter.
    let _ = write!(out, "{rate:.digits$}");
}

/// The time left, which is not known before the first thing is done.
fn left(state: &ProgressState, out: &mut dyn Write) {
    let _ = match state.pos() {
        0 => write!(out, "?"),
        _ => write!(out, "{:#}", HumanDuration(state.eta())),
    };
}

impl Bar {
    /// Counts `more` bytes or things as done.
    pub(crate) fn inc(&self, more: u64) {
        if !self.is_terminal {
            return;
        }
        if self.display.is_hidden() && self.start.elapsed() >= SHOWN_AFTER {
            self.display.set_draw_target(ProgressDrawTarget::stderr());
            self.display.enable_steady_tick(Duration::from_secs(1));
        }
        self.display.inc(more);
    }
}

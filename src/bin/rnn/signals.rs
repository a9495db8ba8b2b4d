//! Signals that end the process: it saves the state of a stream, removes its temporary files, and then dies of
//! the same signal.

use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

use anyhow::Result;

type LastWork = Box<dyn FnOnce() -> Result<()> + Send>;

/// Work left to a signal that ends the process; `None` unless a command has called [`before_dying`].
static BEFORE_DYING: Mutex<Option<LastWork>> = Mutex::new(None);

/// Registers work for the first signal that ends the process, before its temporary files are removed. A second
/// signal does not wait for it.
pub(crate) fn before_dying(work: impl FnOnce() -> Result<()> + Send + 'static) {
    *BEFORE_DYING.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(work));
}

/// Sets the handlers; `report` prints an error of the registered work. SIGXFSZ is ignored, so that a write beyond
/// the limit of file sizes returns an error.
///
/// A signal that the parent process ignores, as `nohup` does with SIGHUP, stays ignored. If handlers cannot be
/// set, the program still runs, and dies of a signal without cleaning up.
#[cfg(unix)]
pub(crate) fn install(report: fn(&anyhow::Error) -> ExitCode) {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
    use signal_hook::flag;
    use signal_hook::iterator::Signals;

    // No code reads this flag: having a handler is enough not to die of the signal.
    let _ = flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)));
    let mut handled = vec![SIGHUP, SIGINT, SIGTERM];
    let ignored = ignored_signals();
    handled.retain(|signal| ignored >> (signal - 1) & 1 == 0);
    // While this flag is set, a signal kills at once. The first signal sets it, or a failure to start the
    // thread below. The handlers of a signal run in the order of their registration.
    let stopping = Arc::new(AtomicBool::new(false));
    for &signal in &handled {
        let _ = if is_first_process() {
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&stopping))
        } else {
            flag::register_conditional_default(signal, Arc::clone(&stopping))
        };
        let _ = flag::register(signal, Arc::clone(&stopping));
    }
    let spawned = Signals::new(handled).and_then(|mut signals| {
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            if let Some(signal) = signals.forever().next() {
                let work = BEFORE_DYING.lock().unwrap_or_else(PoisonError::into_inner).take();
                if let Some(Err(error)) = work.map(|work| work()) {
                    report(&error);
                }
                elman::files::remove_temporary_files();
                die_of(signal);
            }
        })
    });
    if spawned.is_err() {
        stopping.store(true, Ordering::SeqCst);
    }
}

/// Ends the process as a signal does.
#[cfg(unix)]
fn die_of(signal: i32) {
    use signal_hook::low_level::{emulate_default_handler, exit};
    if is_first_process() {
        exit(128 + signal);
    }
    let _ = emulate_default_handler(signal);
}

/// Whether this process is the first of its system or container, for which the system ignores a signal that has no
/// handler. It ends with the exit code that a shell shows for the signal.
#[cfg(unix)]
fn is_first_process() -> bool {
    std::process::id() == 1
}

/// The signals that this process was started to ignore: a bit for each.
///
/// `sigaction` cannot be called without `unsafe`; Linux also shows the mask in a file, as a hexadecimal number
/// whose lowest bit is signal 1.
#[cfg(unix)]
fn ignored_signals() -> u64 {
    // Other systems have no such file, and all handlers are set.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

/// Sets no handlers: this system has no such signals.
#[cfg(not(unix))]
pub(crate) fn install(_: fn(&anyhow::Error) -> ExitCode) {}

/// Ends the process as the system ends one whose output pipe is closed.
pub(crate) fn die_of_broken_pipe() {
    elman::files::remove_temporary_files();
    #[cfg(unix)]
    die_of(signal_hook::consts::SIGPIPE);
}

//! What the process does about signals: it saves what is worth it and removes its temporary files, then dies of
//! that very signal.

use std::sync::{Mutex, PoisonError};

use anyhow::Result;

/// What is still to be done when a signal ends the process.
type Work = Box<dyn FnOnce() -> Result<()> + Send>;

/// Nothing, but for a command that has said otherwise.
static BEFORE_DYING: Mutex<Option<Work>> = Mutex::new(None);

/// Has something done when a signal ends the process, before its temporary files are removed. Another signal
/// does not wait for it.
pub(crate) fn before_dying(work: impl FnOnce() -> Result<()> + Send + 'static) {
    *BEFORE_DYING.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(work));
}

/// Does it; what goes wrong is printed.
#[cfg(unix)]
fn do_before_dying() {
    let work = BEFORE_DYING.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(Err(error)) = work.map(|work| work()) {
        let _ = crate::failure::report(&error);
    }
}

/// Sets the handlers. SIGXFSZ is ignored, so that a file that may not grow is an error of the write.
///
/// A signal that the parent has set to be ignored, as `nohup` does with SIGHUP, stays ignored. Where
/// handlers cannot be set the program still runs; it then dies without cleaning up.
#[cfg(unix)]
pub(crate) fn install() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
    use signal_hook::flag;
    use signal_hook::iterator::Signals;
    use signal_hook::low_level::emulate_default_handler;

    // A flag that nobody reads: having a handler is enough not to die of the signal.
    let _ = flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)));
    let mut handled = vec![SIGHUP, SIGINT, SIGTERM];
    handled.retain(|&signal| !is_ignored(signal));
    // While it is set, a signal kills at once: after the first one, which sets it, and where there is
    // nobody to clean up. The handlers of a signal run in the order in which they were registered.
    let stopping = Arc::new(AtomicBool::new(false));
    for &signal in &handled {
        let _ = flag::register_conditional_default(signal, Arc::clone(&stopping));
        let _ = flag::register(signal, Arc::clone(&stopping));
    }
    let spawned = Signals::new(handled).and_then(|mut signals| {
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            if let Some(signal) = signals.forever().next() {
                do_before_dying();
                elman::files::remove_temporary_files();
                let _ = emulate_default_handler(signal);
            }
        })
    });
    if spawned.is_err() {
        stopping.store(true, Ordering::SeqCst);
    }
}

/// Whether this process was started with a signal set to be ignored.
///
/// The system tells it through `sigaction`, which cannot be called without `unsafe`; Linux also writes
/// it down, as a hexadecimal number whose lowest bit is signal 1.
#[cfg(unix)]
fn is_ignored(signal: i32) -> bool {
    // Elsewhere there is no such file, and handlers are set whatever the parent wanted.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask >> (signal - 1) & 1 == 1
}

/// Sets no handlers: there are no such signals here.
#[cfg(not(unix))]
pub(crate) fn install() {}

/// Ends the process as the system ends one whose reader has gone away.
pub(crate) fn die_of_broken_pipe() {
    elman::files::remove_temporary_files();
    #[cfg(unix)]
    let _ = signal_hook::low_level::emulate_default_handler(signal_hook::consts::SIGPIPE);
}

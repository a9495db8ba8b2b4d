//! What the process does about signals: it removes its temporary files, then dies of that very signal.

/// Sets the handlers. SIGXFSZ is ignored, so that a file that may not grow is an error of the write.
#[cfg(unix)]
pub(crate) fn install() {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
    use signal_hook::iterator::Signals;
    use signal_hook::low_level::emulate_default_handler;

    // A flag that nobody reads: having a handler is enough not to die of the signal. Where handlers
    // cannot be set the program still runs; it then dies without cleaning up.
    let _ = signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)));
    let Ok(mut signals) = Signals::new([SIGHUP, SIGINT, SIGTERM]) else { return };
    let _ = std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        if let Some(signal) = signals.forever().next() {
            // A second signal during the clean-up finds no handler, and kills at once.
            let removing = std::thread::spawn(elman::io::remove_temporary_files);
            let _ = removing.join();
            let _ = emulate_default_handler(signal);
        }
    });
}

/// Sets no handlers: there are no such signals here.
#[cfg(not(unix))]
pub(crate) fn install() {}

/// Ends the process as the system ends one whose reader has gone away.
pub(crate) fn die_of_broken_pipe() {
    elman::io::remove_temporary_files();
    #[cfg(unix)]
    let _ = signal_hook::low_level::emulate_default_handler(signal_hook::consts::SIGPIPE);
}

//! Ctrl-C and its like: the run ends at the next look, and what it started ends with it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

static ASKED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// From here on SIGINT and SIGTERM are asked for at [`check`]; a second one ends the process at once.
pub(crate) fn listen() -> anyhow::Result<()> {
    let asked = Arc::clone(ASKED.get_or_init(Arc::default));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&asked))?;
        signal_hook::flag::register(signal, Arc::clone(&asked))?;
    }
    Ok(())
}

/// # Errors
/// Somebody wants the run to end.
pub(crate) fn check() -> anyhow::Result<()> {
    let asked = ASKED.get().is_some_and(|asked| asked.load(Ordering::Relaxed));
    anyhow::ensure!(!asked, "interrupted; what was started has been ended");
    Ok(())
}

//! Where the gateway's log goes: standard error, `info` and above unless `TALLY_LOG` says otherwise.

use tracing_subscriber::EnvFilter;

/// Starts logging. `TALLY_LOG` takes a level or directives such as `tally_gateway=debug`; `TALLY_LOG_FORMAT=json`
/// gives one JSON object per line.
///
/// # Errors
/// A `TALLY_LOG` that is no filter.
pub(crate) fn start(default: &str) -> anyhow::Result<()> {
    let wanted = std::env::var("TALLY_LOG").unwrap_or_else(|_| default.to_owned());
    let filter = EnvFilter::try_new(&wanted)
        .map_err(|error| anyhow::anyhow!("TALLY_LOG = {wanted:?} is no log filter: {error}"))?;
    let log =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    if std::env::var("TALLY_LOG_FORMAT").is_ok_and(|format| format == "json") {
        log.json().init();
    } else {
        log.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).init();
    }
    Ok(())
}

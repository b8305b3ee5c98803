//! `tally serve`: one gateway, until it is told to end.

use crate::settings::Flags;
use anyhow::Context;
use std::future::Future;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::ExitCode;
use tally_gateway::{Config, Drained, Gateway, Running};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    settings: Flags,
    /// Write the bound addresses to this file as JSON, once the gateway listens
    #[arg(long, value_name = "PATH", env = "TALLY_ADDRESSES_FILE")]
    addresses_file: Option<PathBuf>,
}

/// A gateway that listens, and the first signal that tells it to end.
pub(crate) struct Started {
    pub(crate) gateway: Running,
    pub(crate) signal: Pin<Box<dyn Future<Output = &'static str> + Send>>,
}

pub(crate) fn main(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let config = arguments.settings.load()?;
    // What fred warns of comes again from the backplane, as a sentence.
    crate::log::start("info,fred=error")?;
    runtime()?.block_on(async {
        let backplane = config.backplane();
        let Started { mut gateway, signal } = start(config).await?;
        say_where(&gateway, &backplane);
        if let Some(path) = &arguments.addresses_file {
            write_addresses(path, &gateway)?;
        }
        let ordered = gateway.drain_ordered();
        let name = tokio::select! {
            name = signal => name,
            () = ordered => "an operator's order",
            () = gateway.failed() => anyhow::bail!("a thread of the gateway ended by itself; start it anew"),
        };
        tracing::info!(signal = name, "draining");
        if gateway.shutdown().await == Drained::CutOff {
            tracing::warn!("the drain's deadline passed; what was still open was cut off");
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// The runtime of everything but the shards, which have their own threads.
pub(crate) fn runtime() -> anyhow::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("tally")
        .enable_all()
        .build()
        .context("cannot start the runtime")
}

/// Takes the signals first, so that none is missed, then starts the gateway on the backplane that the settings name.
pub(crate) async fn start(config: Config) -> anyhow::Result<Started> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let gateway = Gateway::start_configured(config).await?;
    let signal = Box::pin(async move {
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        }
    });
    Ok(Started { gateway, signal })
}

#[expect(clippy::print_stdout, reason = "the one line that says where to go")]
fn say_where(gateway: &Running, backplane: &str) {
    println!(
        "tally: producers and browsers go to http://{}, operators to http://{}; backplane: {backplane}",
        gateway.listen_addr(),
        gateway.admin_addr()
    );
}

/// Whole or not at all: a reader never sees half of it.
fn write_addresses(path: &Path, gateway: &Running) -> anyhow::Result<()> {
    let addresses = serde_json::json!({
        "listen": gateway.listen_addr().to_string(),
        "admin": gateway.admin_addr().to_string(),
    });
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().context("--addresses-file must name a file")?;
    let partial = dir.join(format!(".{}.{}", name.to_string_lossy(), std::process::id()));
    let write = || -> std::io::Result<()> {
        let mut file = std::fs::File::create(&partial)?;
        writeln!(file, "{addresses}")?;
        std::fs::rename(&partial, path)
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

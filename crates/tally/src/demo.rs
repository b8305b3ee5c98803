//! `tally demo`: a gateway, a few real commands through `tally run`, and a page that shows them live.

mod audience;
mod jobs;

use crate::serve::{self, Started};
use jobs::JOBS;
use std::net::SocketAddr;
use std::process::ExitCode;
use tally_gateway::Config;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Where producers and browsers connect; if it is taken, any free port
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8420")]
    listen: SocketAddr,
    /// Where operators connect; if it is taken, any free port
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8421")]
    admin: SocketAddr,
}

pub(crate) fn main(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    crate::log::start("warn")?;
    // One thread, so that every page shares the log which the demo's own listener keeps.
    let (listen, admin) = (free(arguments.listen), free(arguments.admin));
    let config = Config { listen, admin, shards: 1, ..Config::default() };
    serve::runtime()?.block_on(demo(config))
}

/// The address itself, or one with a free port in its place.
fn free(address: SocketAddr) -> SocketAddr {
    match std::net::TcpListener::bind(address) {
        Ok(_) => address,
        Err(_) => SocketAddr::new(address.ip(), 0),
    }
}

async fn demo(config: Config) -> anyhow::Result<ExitCode> {
    let Started { gateway, signal } = serve::start(config).await?;
    let url = format!("http://{}", gateway.listen_addr());
    introduce(&url, gateway.admin_addr());
    let mut running = JoinSet::new();
    let (started, starts) = mpsc::channel(JOBS.len());
    running.spawn(audience::listen(url.clone(), starts));
    for job in &JOBS {
        running.spawn(job.repeat(url.clone(), started.clone()));
    }
    let failed = tokio::select! {
        _ = signal => None,
        () = gateway.drain_ordered() => None,
        Some(ended) = running.join_next() => Some(ended),
    };
    running.shutdown().await;
    gateway.shutdown().await;
    match failed {
        None => Ok(ExitCode::SUCCESS),
        Some(ended) => {
            ended??;
            Ok(ExitCode::from(crate::exit::FAILED))
        }
    }
}

#[expect(clippy::print_stdout, reason = "the demo tells a newcomer where to look")]
fn introduce(url: &str, admin: SocketAddr) {
    let this = std::env::current_exe().map_or_else(|_| "tally".into(), |path| path.display().to_string());
    println!("\n  Tally is live:  {url}/\n");
    println!("  Open it in a browser. These are real commands of this machine, each through `tally run`:\n");
    for job in &JOBS {
        println!("    {:<16} {}", job.channel(1), job.about);
    }
    println!("\n  In another terminal:\n");
    println!("    {this} watch --gateway {url} --last 20 {}", JOBS[0].channel(1));
    println!("    curl {url}/v1/channels/{}", JOBS[2].channel(1));
    println!("    curl -d '{{\"kind\":\"hello\"}}' {url}/v1/channels/job:mine/events");
    println!("    curl http://{admin}/metrics\n");
    println!("  Everything is in this process's memory. Ctrl-C ends it.\n");
}

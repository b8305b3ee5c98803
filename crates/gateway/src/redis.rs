//! A gateway on Redis, which it shares with producers and other gateways; it starts, and is ready, also without.

use crate::app::{Gateway, Running, StartError, Upstream, start_ingest};
use crate::config::{Config, RedisSettings};
use crate::metrics::Metrics;
use crate::statistics::link::Link;
use std::sync::Arc;
use std::time::Duration;
use tally_backplane::redis::RedisNode;
use tokio::time::interval;

/// How often the node's own figures are read.
const FIGURES_TIME: Duration = Duration::from_secs(1);

impl Gateway {
    /// Starts with the backplane that the settings name.
    ///
    /// # Errors
    /// [`StartError`] names the setting. A Redis that cannot be reached is none: clients are told, and the gateway
    /// keeps trying.
    pub async fn start_configured(config: Config) -> Result<Running, StartError> {
        match config.redis.clone() {
            Some(redis) => Self::start_redis(config, &redis).await,
            None => Self::start_embedded(config).await,
        }
    }

    async fn start_redis(config: Config, redis: &RedisSettings) -> Result<Running, StartError> {
        let link = redis.link().map_err(StartError::Redis)?;
        let ingest = start_ingest(&config)?;
        let (node, stream) = {
            let _on_its_thread = ingest.enter();
            link.connect()
        };
        let node = Arc::new(node);
        let mut running = Self::start_as(config, node.clone(), stream, Upstream::Unknown, ingest).await?;
        let (metrics, link) = (running.metrics_handles(), running.link());
        running.spawn(figures(node, metrics, link));
        Ok(running)
    }
}

async fn figures(node: Arc<RedisNode>, metrics: Arc<Metrics>, link: Arc<Link>) {
    let mut ticks = interval(FIGURES_TIME);
    loop {
        ticks.tick().await;
        metrics.upstream_lost_messages.absolute(node.lost_messages());
        link.note_node(node.lost_messages(), node.probe_time());
    }
}

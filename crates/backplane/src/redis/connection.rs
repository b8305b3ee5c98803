//! One connection to Redis: a fred client that never reconnects, so that its end is seen and nothing outlives it.
//!
//! Why not fred's own reconnecting: a new client per connection starts with empty queues and no tracked
//! subscriptions, so no command is sent twice, no reply reaches another caller, and what waits between two attempts
//! is ours to choose. What bounds it: every command has fred's `default_command_timeout`; the session's heartbeat ends
//! a connection that is silent, also one whose writer is stuck. `max_command_buffer_len` stays 0 (a refused command
//! would break fred's flushing for good): callers hold permits instead.

use super::config::{Address, Redis};
use super::error::LinkError;
use super::reply;
use fred::clients::{Client, Pipeline};
use fred::error::Error;
use fred::interfaces::{ClientLike as _, EventInterface as _, PubsubInterface as _, Resp3Frame};
use fred::types::config::{
    Config, ConnectionConfig, Options, PerformanceConfig, Server, ServerConfig, TcpConfig, TlsConfig,
    TlsConnector, TlsHostMapping,
};
use fred::types::{ClusterHash, ConnectHandle, CustomCommand, Message, RespVersion, Value};
use rustls::{ClientConfig, RootCertStore};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::sync::broadcast;
use tokio::task::AbortHandle;

/// Messages that fred holds for the task that moves them on. More: it says how many were lost, which is a gap of every
/// channel. About 5 MB, because fred makes eight queues of this length.
const BROADCAST_CAPACITY: usize = 8_192;
/// Of fred's queue where no messages are expected.
const BROADCAST_CAPACITY_MIN: usize = 32;

/// A connection that was established once. Dropping it closes it.
#[derive(Debug)]
pub(super) struct Connection {
    client: Client,
    server: String,
    command_timeout: Duration,
    guard: Guard,
    /// Resolved once; the result says why the connection ended.
    ended: Mutex<ConnectHandle>,
    tokens: AtomicU64,
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Commands,
    Messages,
}

/// An error of a command: Redis answered it, or nothing is known.
#[derive(Debug)]
pub(super) enum CommandError {
    /// The command was not run, or its script ended with this.
    Answered(String),
    /// The connection ended before the command was written.
    Unsent(LinkError),
    /// The connection ended, or no answer came in time.
    Unanswered(LinkError),
}

impl CommandError {
    pub(super) fn into_link_error(self) -> LinkError {
        match self {
            Self::Answered(text) => LinkError::of_answer(&text),
            Self::Unsent(error) | Self::Unanswered(error) => error,
        }
    }
}

impl Connection {
    /// Connects, authenticates and switches to RESP3. The messages are of interest on a connection for them.
    pub(super) async fn open(
        redis: &Redis,
        role: Role,
    ) -> Result<(Self, broadcast::Receiver<Message>), LinkError> {
        let server = redis.to_string();
        let config = config(redis).map_err(|problem| LinkError::Tls(server.clone(), problem))?;
        let client = Client::new(config, Some(performance(redis, role)), Some(limits(redis)), None);
        let messages = client.message_rx();
        let mut established = client.reconnect_rx();
        let mut handle = client.connect();
        // From here on the guard closes the connection, also where the caller gives up.
        let guard = Guard(handle.abort_handle());
        let timeout_ms = redis.timeouts.connect.as_millis();
        let opening = async {
            tokio::select! {
                ended = &mut handle => Err(match ended {
                    Ok(Err(error)) => LinkError::of_connection(&server, &error, timeout_ms),
                    _ => LinkError::Closed(server.clone(), "while connecting".into()),
                }),
                _ = established.recv() => Ok(()),
            }
        };
        tokio::time::timeout(redis.timeouts.connect, opening)
            .await
            .map_err(|_| LinkError::Silent(server.clone(), timeout_ms))??;
        let connection = Self {
            client,
            server,
            command_timeout: redis.timeouts.command,
            guard,
            ended: Mutex::new(handle),
            tokens: AtomicU64::new(0),
        };
        Ok((connection, messages))
    }

    /// Any command; an error that Redis answers is one here too.
    pub(super) async fn command(
        &self,
        name: &'static str,
        arguments: Vec<Value>,
    ) -> Result<Resp3Frame, CommandError> {
        self.command_within(name, arguments, self.command_timeout).await
    }

    async fn command_within(
        &self,
        name: &'static str,
        arguments: Vec<Value>,
        timeout: Duration,
    ) -> Result<Resp3Frame, CommandError> {
        let command = CustomCommand::new_static(name, ClusterHash::FirstKey, false);
        let options = Options { timeout: Some(timeout), max_attempts: Some(1), ..Options::default() };
        // fred's future is large, and callers hold several.
        let reply = Box::pin(self.client.with_options(&options).custom_raw(command, arguments)).await;
        let reply = reply.map_err(|error| {
            let link = LinkError::of_connection(&self.server, &error, timeout.as_millis());
            // fred cancels what was still queued when a connection ended, and nothing else.
            if error.is_canceled() { CommandError::Unsent(link) } else { CommandError::Unanswered(link) }
        })?;
        match reply::error(&reply) {
            Some(text) => Err(CommandError::Answered(text)),
            None => Ok(reply),
        }
    }

    /// Subscribes to each list of names. When it returns, all of it has taken effect.
    pub(super) async fn subscribe(&self, lists: Vec<Vec<String>>) -> Result<(), LinkError> {
        let pipeline = self.client.pipeline();
        for names in lists {
            // Without names Redis answers with an error, and unsubscribing would end everything.
            debug_assert!(!names.is_empty(), "no caller sends an empty list");
            pipeline.subscribe(names).await.map_err(|error| self.unanswered(&error))?;
        }
        self.barrier_behind(&pipeline).await
    }

    /// As with [`Connection::subscribe`].
    pub(super) async fn unsubscribe(&self, lists: Vec<Vec<String>>) -> Result<(), LinkError> {
        let pipeline = self.client.pipeline();
        for names in lists {
            debug_assert!(!names.is_empty(), "no caller sends an empty list");
            pipeline.unsubscribe(names).await.map_err(|error| self.unanswered(&error))?;
        }
        self.barrier_behind(&pipeline).await
    }

    /// fred takes a `SUBSCRIBE` as answered when it is written, drops the confirmations, and gives an error to the
    /// command that is next in flight, or to none. In one pipeline the next is the `PING` behind it: its own answer
    /// proves that all before it has taken effect, any other is an error of theirs.
    async fn barrier_behind(&self, pipeline: &Pipeline<Client>) -> Result<(), LinkError> {
        let token = self.token();
        let queued: Result<Value, _> = pipeline.ping(Some(token.clone())).await;
        queued.map_err(|error| self.unanswered(&error))?;
        match Box::pin(pipeline.last::<Value>()).await {
            Ok(answer) => self.expect_token(&token, answer.as_str().as_deref()),
            Err(error) => Err(self.unanswered(&error)),
        }
    }

    /// A sign of life. Any other answer than the text asked for is that of another command, and then no further answer
    /// can be trusted.
    async fn ping(&self, within: Duration) -> Result<(), LinkError> {
        let token = self.token();
        match self.command_within("PING", vec![Value::from(token.as_str())], within).await {
            Ok(answer) => self.expect_token(&token, reply::text(&answer).as_deref()),
            Err(error) => Err(error.into_link_error()),
        }
    }

    fn token(&self) -> String {
        format!("tally-{}", self.tokens.fetch_add(1, Ordering::Relaxed))
    }

    fn expect_token(&self, token: &str, answer: Option<&str>) -> Result<(), LinkError> {
        if answer == Some(token) {
            return Ok(());
        }
        let answer: String = answer.unwrap_or_default().chars().take(80).collect();
        Err(LinkError::Closed(self.server.clone(), format!("a PING was answered with {answer:?}")))
    }

    /// Resolves when the connection has ended.
    pub(super) async fn ended(&self) -> LinkError {
        match (&mut *self.ended.lock().await).await {
            Ok(Err(error)) => {
                LinkError::of_connection(&self.server, &error, self.command_timeout.as_millis())
            }
            _ => LinkError::Closed(self.server.clone(), "by the other side".into()),
        }
    }

    /// Resolves when the connection has been silent for too long, or answered what it was not asked.
    pub(super) async fn silent(&self, heartbeat: Duration, silence: Duration) -> LinkError {
        loop {
            tokio::time::sleep(heartbeat).await;
            if let Err(error) = self.ping(silence).await {
                return error;
            }
        }
    }

    pub(super) fn close(&self) {
        self.guard.0.abort();
    }

    fn unanswered(&self, error: &Error) -> LinkError {
        LinkError::of_connection(&self.server, error, self.command_timeout.as_millis())
    }
}

/// Ends the task that drives a connection, and with it the connection.
#[derive(Debug)]
struct Guard(AbortHandle);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn config(redis: &Redis) -> Result<Config, String> {
    let server = match &redis.address {
        Address::Tcp { host, port } => {
            ServerConfig::Centralized { server: Server::new(host.as_str(), *port) }
        }
        Address::Unix(path) => ServerConfig::Unix { path: path.clone() },
    };
    Ok(Config {
        fail_fast: true,
        server,
        version: RespVersion::RESP3,
        username: redis.user.clone(),
        password: password(redis),
        database: redis.database,
        tls: if redis.is_tls { Some(tls(redis.roots.clone())?) } else { None },
        ..Config::default()
    })
}

/// Without a password fred would leave the user out as well, and go on as the server's default user; and it cannot send
/// an empty one. A user that needs none takes any.
fn password(redis: &Redis) -> Option<String> {
    let given = redis.password.clone().map(|password| password.0);
    given.or_else(|| redis.user.is_some().then(|| "none".to_owned()))
}

/// Own roots alone, or those of the system.
fn tls(roots: Option<RootCertStore>) -> Result<TlsConfig, String> {
    let roots = match roots {
        Some(roots) => roots,
        None => {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                return Err("the system has no certificate authorities; name those of the server".into());
            }
            roots
        }
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConfig { connector: TlsConnector::from(config), hostnames: TlsHostMapping::None })
}

fn performance(redis: &Redis, role: Role) -> PerformanceConfig {
    let broadcast_channel_capacity =
        if role == Role::Messages { BROADCAST_CAPACITY } else { BROADCAST_CAPACITY_MIN };
    PerformanceConfig {
        default_command_timeout: redis.timeouts.command,
        broadcast_channel_capacity,
        ..PerformanceConfig::default()
    }
}

fn limits(redis: &Redis) -> ConnectionConfig {
    ConnectionConfig {
        connection_timeout: redis.timeouts.connect,
        internal_command_timeout: redis.timeouts.connect,
        max_command_attempts: 1,
        max_command_buffer_len: 0,
        tcp: TcpConfig { nodelay: Some(true), ..TcpConfig::default() },
        ..ConnectionConfig::default()
    }
}

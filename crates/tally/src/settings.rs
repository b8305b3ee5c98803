//! Where a gateway's settings come from: a file, the environment and flags, in rising order.

use anyhow::Context;
use std::path::{Path, PathBuf};
use tally_gateway::{Config, Sources};

/// Variables that begin with `TALLY_` and are not a gateway's settings.
const OTHER_VARIABLES: [&str; 6] =
    ["TALLY_CONFIG", "TALLY_ADDRESSES_FILE", "TALLY_LOG", "TALLY_LOG_FORMAT", "TALLY_TO", "TALLY_GATEWAY"];

/// Flags that `serve` and `config check` share.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Flags {
    /// TOML file with settings; `tally config default` prints one
    #[arg(long, value_name = "FILE", env = "TALLY_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Where producers and clients connect [default: 127.0.0.1:8420]
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<String>,
    /// Where operators connect [default: 127.0.0.1:8421]
    #[arg(long, value_name = "ADDR")]
    pub(crate) admin: Option<String>,
    /// The Redis to share with producers and other gateways: redis://, rediss:// or redis+unix://. Credentials are
    /// better in TALLY_REDIS, TALLY_REDIS_PASSWORD or the file
    #[arg(long, value_name = "URL")]
    pub(crate) redis: Option<String>,
    /// Threads with connections; 0 is one per core [default: 0]
    #[arg(long, value_name = "N")]
    pub(crate) shards: Option<String>,
    /// An origin whose pages may connect and publish; `null` for pages from files, `*` for all. May be repeated
    #[arg(long, value_name = "ORIGIN")]
    pub(crate) allow_origin: Vec<String>,
    /// What publishers from other machines must show as a bearer token. Better in TALLY_PUBLISH_KEY or the file
    #[arg(long, value_name = "KEY", hide_env_values = true)]
    pub(crate) publish_key: Option<String>,
    /// Any other setting by its name, such as `drain_ms=10000`. May be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) set: Vec<String>,
}

impl Flags {
    /// Reads everything and checks it.
    ///
    /// # Errors
    /// One line for each setting that cannot be used, with its place, its value and its rule.
    pub(crate) fn load(&self) -> anyhow::Result<Config> {
        let file = self.config.as_deref().map(read).transpose()?;
        let env = std::env::vars().filter(|(name, _)| !OTHER_VARIABLES.contains(&name.as_str())).collect();
        let sources = Sources { file, env, flags: self.flags()? };
        Ok(Config::load(&sources)?)
    }

    fn flags(&self) -> anyhow::Result<Vec<(String, String)>> {
        let single = [
            ("listen", &self.listen),
            ("admin", &self.admin),
            ("redis", &self.redis),
            ("shards", &self.shards),
            ("publish_key", &self.publish_key),
        ];
        let mut flags: Vec<(String, String)> = Vec::new();
        for (name, value) in single {
            flags.extend(value.iter().map(|value| (name.to_owned(), value.clone())));
        }
        flags.extend(self.allow_origin.iter().map(|origin| ("allow_origin".to_owned(), origin.clone())));
        for pair in &self.set {
            let (name, value) = pair.split_once('=').with_context(|| {
                format!("--set {pair:?} must be NAME=VALUE; `tally config default` prints all names")
            })?;
            flags.push((name.trim().replace('-', "_"), value.trim().to_owned()));
        }
        Ok(flags)
    }
}

/// A settings file: its path, for messages, and its text.
pub(crate) fn read(path: &Path) -> anyhow::Result<(PathBuf, String)> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the settings file {}", path.display()))?;
    Ok((path.to_owned(), text))
}

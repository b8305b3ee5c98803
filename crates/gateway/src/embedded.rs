//! A gateway with the embedded backplane: everything in one process, the default when no broker is configured.

use crate::app::{Gateway, Running, StartError};
use crate::config::Config;
use std::sync::Arc;
use tally_backplane::{Embedded, Limits};

impl Gateway {
    /// As [`Gateway::start`], with a broker of its own in memory: what was published ends with the process.
    ///
    /// # Errors
    /// [`StartError`] names the setting and the address.
    pub async fn start_embedded(config: Config) -> Result<Running, StartError> {
        let (node, stream) = Embedded::new(Limits::default()).node();
        Self::start(config, Arc::new(node), stream).await
    }
}

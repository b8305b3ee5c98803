//! The conformance suite against a real server; time passes by making its keys older.

use crate::support::{Server, up};
use std::sync::Arc;
use std::time::Duration;
use tally_backplane::conformance::{Fixture, TimedFixture};
use tally_backplane::{Backplane, BoxFuture, Stream};
use tally_protocol::ChannelName;

/// A server of its own per test.
struct OneServer(Server);

fn fixture() -> OneServer {
    OneServer(Server::start())
}

impl Fixture for OneServer {
    fn node(&self) -> BoxFuture<'_, (Arc<dyn Backplane>, Stream)> {
        Box::pin(async move {
            let (node, stream) = up(self.0.redis()).await;
            (Arc::new(node) as Arc<dyn Backplane>, stream)
        })
    }

    fn channel(&self, name: &str) -> ChannelName {
        ChannelName::new(name).expect("cases name valid channels")
    }

    fn forget_producers<'a>(&'a self, channel: &'a ChannelName) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let key = |n| format!("tally:{{{channel}}}:producers:{n}");
            self.0.cli(&["DEL", &key(0), &key(1)]);
            // The one that published last stands in the meta, with when it did.
            let script = "local head = redis.call('HGET', KEYS[1], 'head')
                head = string.sub(head, 1, 84) .. string.rep('\\0', 8) .. string.sub(head, 93)
                return redis.call('HSET', KEYS[1], 'head', head)";
            let forgotten = self.0.cli(&["EVAL", script, "1", &format!("tally:{{{channel}}}:meta")]);
            assert_eq!(forgotten, "0");
        })
    }
}

impl TimedFixture for OneServer {
    fn elapse(&self, by: Duration) -> BoxFuture<'_, ()> {
        Box::pin(async move { self.0.elapse(by) })
    }
}

tally_backplane::conformance_cases!(fixture());
tally_backplane::timed_conformance_cases!(real time: fixture());

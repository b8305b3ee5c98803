//! The conformance suite against the embedded backplane.

use std::sync::Arc;
use std::time::Duration;
use tally_backplane::conformance::{Fixture, TimedFixture};
use tally_backplane::{Backplane, BoxFuture, Embedded, Stream};
use tally_protocol::ChannelName;

#[derive(Default)]
struct OneBroker(Embedded);

impl Fixture for OneBroker {
    fn node(&self) -> BoxFuture<'_, (Arc<dyn Backplane>, Stream)> {
        let (node, stream) = self.0.node();
        Box::pin(async move { (Arc::new(node) as Arc<dyn Backplane>, stream) })
    }

    fn channel(&self, name: &str) -> ChannelName {
        ChannelName::new(name).expect("cases name valid channels")
    }

    fn forget_producers<'a>(&'a self, channel: &'a ChannelName) -> BoxFuture<'a, ()> {
        Box::pin(async move { self.0.forget_producers(channel) })
    }
}

impl TimedFixture for OneBroker {
    fn elapse(&self, by: Duration) -> BoxFuture<'_, ()> {
        Box::pin(tokio::time::advance(by))
    }
}

tally_backplane::conformance_cases!(OneBroker::default());
tally_backplane::timed_conformance_cases!(OneBroker::default());

#[test]
fn every_case_is_in_the_lists() {
    let lists = include_str!("../src/conformance.rs");
    let cases = [
        include_str!("../src/conformance/expiry.rs"),
        include_str!("../src/conformance/kinds.rs"),
        include_str!("../src/conformance/listening.rs"),
        include_str!("../src/conformance/numbering.rs"),
        include_str!("../src/conformance/retries.rs"),
    ];
    let names = cases.iter().flat_map(|file| file.split("\npub async fn ").skip(1));
    let names: Vec<_> = names.map(|rest| rest.split('(').next().unwrap()).collect();
    assert!(names.len() > 30, "{names:?}");
    for name in names {
        assert!(lists.contains(&format!(" {name},\n")), "{name} is in no list");
    }
}

//! A channel before its first event, through its job, and over a restart that loses it: told, never silent.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use support::{Gateway, PATIENCE, post};
use tally_client::{ChannelName, Client, Subscription, Update};
use tokio::time::timeout;

async fn next(client: &mut Client) -> Update {
    timeout(PATIENCE, client.next()).await.unwrap().unwrap()
}

/// Takes updates until one fits.
async fn until(client: &mut Client, fits: impl Fn(&Update) -> bool) -> Update {
    loop {
        let update = next(client).await;
        assert!(!matches!(update, Update::Violation { .. }), "{update:?}");
        if fits(&update) {
            return update;
        }
    }
}

#[tokio::test]
async fn a_restart_without_memory_is_a_reset() {
    let gateway = Gateway::start(&[]);
    let channel: ChannelName = "job:later".parse().unwrap();
    let mut client = Client::connect(&gateway.url()).unwrap();
    client.subscribe(Subscription::new(&channel)).unwrap();

    let attached = until(&mut client, |update| matches!(update, Update::Subscribed { .. })).await;
    assert!(
        attached.text().unwrap().as_str().contains("\"epoch\":null"),
        "nothing happened yet: {attached:?}"
    );

    let (status, answer) =
        post(gateway.listen, "/v1/channels/job:later/events", "{\"kind\":\"run_started\"}");
    assert_eq!(status, 200, "{answer}");
    assert!(answer.contains("\"heard\":\"yes\""), "{answer}");
    until(&mut client, |update| matches!(update, Update::Events(_))).await;
    assert_eq!(client.ledger(&channel).unwrap().cursor().get(), 1);

    let address = gateway.kill();
    until(&mut client, |update| matches!(update, Update::Disconnected { .. })).await;
    let gateway = Gateway::start_on(&address.to_string(), &[]);
    let reset = until(&mut client, |update| matches!(update, Update::Reset { .. })).await;
    let Update::Reset { frame, closed } = reset else { unreachable!("that is what was waited for") };
    assert_eq!((frame.seq.get(), closed.cursor().get()), (0, 1));
    assert!(closed.closes());

    post(gateway.listen, "/v1/channels/job:later/events", "[1,2,3]");
    until(&mut client, |update| matches!(update, Update::Events(_))).await;
    let ledger = client.ledger(&channel).unwrap();
    assert_eq!((ledger.cursor().get(), ledger.full().get("message")), (3, 3));
    assert!(ledger.closes());
}

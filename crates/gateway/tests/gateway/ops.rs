//! What a gateway says about itself on `$` channels, what it answers, and the orders of operators.

use crate::support::{Answer, Client, get, post, publish, request, start, start_on};
use serde_json::{Value, json};
use std::net::SocketAddr;
use tally_backplane::Embedded;
use tally_gateway::Running;
use tally_protocol::{Ledger, ServerFrame, Totals};

/// An operator's page: its connection to the admin port, and what comes on it.
struct Page {
    client: Client,
    admin: SocketAddr,
    asks: u32,
}

impl Page {
    async fn open(gateway: &Running) -> Self {
        let admin = gateway.admin_addr();
        Self { client: Client::connect(admin).await, admin, asks: 0 }
    }

    async fn listen(&mut self, channel: &str) {
        let wish = json!({"type": "subscribe", "id": 1, "channels": [{"channel": channel}]});
        self.client.send(&wish.to_string()).await;
        // Other channels go on meanwhile.
        while !matches!(self.client.next().await, ServerFrame::Subscribed(_)) {}
    }

    /// The data of the next event of this kind on this channel.
    async fn next(&mut self, channel: &str, kind: &str) -> Value {
        loop {
            let ServerFrame::Events(frame) = self.client.next().await else { continue };
            if frame.channel.as_str() != channel {
                continue;
            }
            if let Some(event) = frame.events.iter().find(|event| event.kind.as_str() == kind) {
                assert!(event.data.len() <= 64 * 1024, "{} bytes of {kind}", event.data.len());
                return serde_json::from_str(event.data.as_str()).unwrap();
            }
        }
    }

    /// Asks, and takes the first answer.
    async fn ask(&mut self, mut ask: Value) -> Value {
        self.asks += 1;
        let id = format!("t{}", self.asks);
        ask["ask"] = id.as_str().into();
        self.listen(&format!("$answers:{id}")).await;
        let answer = post_ask(self.admin, &ask.to_string()).await;
        assert_eq!((answer.status, answer.body.as_str()), (202, "{}"), "{answer:?}");
        let answer = self.next(&format!("$answers:{id}"), "answer").await;
        assert_eq!(answer["ask"], id);
        answer
    }

    /// The first sample for which this holds.
    async fn sample_where(&mut self, holds: impl Fn(&Value) -> bool) -> Value {
        loop {
            let sample = self.next("$gateways", "sample").await;
            if holds(&sample) {
                return sample;
            }
        }
    }
}

async fn post_ask(addr: SocketAddr, body: &str) -> Answer {
    request(addr, "POST /ops/ask", "content-type: application/json\r\n", body.as_bytes()).await
}

/// A metric's value, summed over its labels.
fn metric(gateway: &Running, name: &str) -> f64 {
    let text = gateway.metrics();
    let lines = text.lines().filter(|line| {
        line.strip_prefix(name).is_some_and(|rest| rest.starts_with('{') || rest.starts_with(' '))
    });
    lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
}

#[tokio::test]
async fn samples_say_what_the_metrics_say() {
    let gateway = start(|config| config.name = "north".into()).await;
    let addr = gateway.listen_addr();
    let mut page = Page::open(&gateway).await;
    page.listen("$gateways").await;
    let mut clients = Vec::new();
    for rung in ["full", "counts", "summary"] {
        let mut client = Client::connect(addr).await;
        let options = format!(r#","rung":"{rung}","max_rate":10000"#);
        let ledger = client.subscribe("job", &options).await;
        clients.push((client, ledger));
    }
    let seq = publish(addr, "job", 100).await;
    for (client, ledger) in &mut clients {
        client.read_to(ledger, seq).await;
    }
    let sample = page
        .sample_where(|sample| {
            let account = &sample["account"];
            account["full"].as_u64() >= Some(100)
                && account["counted"]["asked"].as_u64() >= Some(100)
                && account["summarised"]["asked"].as_u64() >= Some(100)
        })
        .await;
    assert!(sample["gateway"].as_str().unwrap().starts_with("north-"), "{sample}");
    assert_eq!(
        (&sample["name"], &sample["state"], &sample["redis"]),
        (&json!("north"), &json!("running"), &Value::Null)
    );
    assert_eq!(sample["listen"], addr.to_string());
    assert_eq!(sample["connections"], 4);
    assert_eq!(sample["connections_by_rung"], json!({"full": 2, "counts": 1, "summary": 1}));
    assert_eq!(sample["subscriptions"], json!({"full": 2, "counts": 1, "summary": 1, "pending": 0}));
    // The watcher listens to two channels, and shows in nothing; the page listens to one of them.
    assert_eq!(sample["interest"], 2, "{sample}");
    assert_eq!(sample["account"]["lost"], 0);
    assert_eq!(sample["cores"], 2);
    assert_eq!(sample["shards"].as_array().unwrap().len(), 2);
    assert!(sample["rss_bytes"].as_u64() > Some(1_000_000));
    // What clients hold is what the account has.
    let full: u64 = clients.iter().map(|(_, ledger)| ledger.full().sum()).sum();
    let own = sample["account"]["full"].as_u64().unwrap() - full;
    assert!(own < 60, "beside the page's own events: {own}");
    for name in ["tally_connections", "tally_interest_channels"] {
        let key = name.strip_prefix("tally_").unwrap().split('_').next().unwrap();
        while (metric(&gateway, name) - sample[key].as_f64().unwrap()).abs() > 0.0 {
            tokio::task::yield_now().await;
        }
    }
    assert!((metric(&gateway, "tally_records_total") - 1.0).abs() < 0.1, "Tally's own are left out");
}

#[tokio::test]
async fn the_account_closes_through_throttling_and_every_end() {
    let gateway = start(|_| {}).await;
    let addr = gateway.listen_addr();
    let mut page = Page::open(&gateway).await;
    page.listen("$gateways").await;
    let mut throttled = Client::connect(addr).await;
    let mut ledger: Ledger = throttled.subscribe("a", r#","max_rate":10"#).await;
    let mut counts = Client::connect(addr).await;
    let mut of_counts = counts.subscribe("a", r#","rung":"counts""#).await;
    publish(addr, "a", 15).await;
    let seq = publish(addr, "a", 200).await;
    throttled.read_to(&mut ledger, seq).await;
    counts.read_to(&mut of_counts, seq).await;
    assert!(ledger.counted().values().map(Totals::sum).sum::<u64>() >= 200, "{ledger:?}");
    // One ends with an unsubscribe while something is due, one with its connection.
    publish(addr, "a", 50).await;
    counts.send(r#"{"type":"unsubscribe","id":9,"channels":["a"]}"#).await;
    while !matches!(counts.next().await, ServerFrame::Unsubscribed(_)) {}
    drop(throttled);
    let sample = page
        .sample_where(|sample| {
            assert_eq!(sample["account"]["lost"], 0, "{sample}");
            sample["connections"] == 2 && sample["subscriptions"]["counts"] == 0
        })
        .await;
    let account = &sample["account"];
    assert!(account["counted"]["throttled"].as_u64() >= Some(200), "{account}");
    let columns =
        |name: &str| account[name].as_object().unwrap().values().filter_map(Value::as_u64).sum::<u64>();
    let told = account["full"].as_u64().unwrap() + columns("counted") + columns("summarised");
    assert_eq!(account["advanced"].as_u64(), Some(told));
    // What a client reports weighs as much as a residual.
    counts.send(r#"{"type":"violation","channel":"a","law":"conservation","detail":"planted"}"#).await;
    page.sample_where(|sample| sample["account"]["lost"] == 1 && sample["account"]["violations"] == 1).await;
}

#[tokio::test]
async fn details_come_in_full_once_somebody_listens() {
    let gateway = start(|_| {}).await;
    let addr = gateway.listen_addr();
    let mut page = Page::open(&gateway).await;
    page.listen("$gateways").await;
    let id = page.next("$gateways", "sample").await["gateway"].as_str().unwrap().to_owned();
    let channel = format!("$gateway:{id}");
    page.listen(&channel).await;
    let mut slow = Client::connect_narrow(addr).await;
    slow.subscribe("job:1", r#","max_rate":10000"#).await;
    let name = slow.hello.connection.clone();
    let big = format!("\"{}\"\n", "x".repeat(50_000)).repeat(100);
    let detail = loop {
        assert_eq!(post(addr, "job:1", &big).await.status, 200);
        publish(addr, "nobody", 10).await;
        let detail = page.next(&channel, "detail").await;
        let row = detail["connections"].as_array().unwrap().iter().find(|row| row["connection"] == *name);
        if row.is_some_and(|row| row["due_bytes"].as_u64() > Some(0) && row["rung"] == "summary") {
            break detail;
        }
    };
    assert_eq!(detail["gateway"], id);
    let first = &detail["connections"][0];
    assert_eq!(first["connection"], *name, "the slowest comes first: {detail}");
    assert_eq!(first["why"], "backpressure");
    assert!(first["addr"].as_str().unwrap().starts_with("127.0.0.1:"));
    let job = detail["channels"].as_array().unwrap().iter().find(|row| row["channel"] == "job:1").unwrap();
    assert_eq!(job["listeners"], json!({"full": 0, "counts": 0, "summary": 1}), "{job}");
    assert_eq!(detail["unheard"][0]["channel"], "nobody");
    // What is known of it by name.
    let answer = page.ask(json!({"what": "connection", "gateway": id, "connection": name})).await;
    assert_eq!((&answer["ok"], &answer["gateway"]), (&json!(true), &json!(id)));
    let connection = &answer["connection"];
    assert_eq!(connection["subscriptions"][0]["channel"], "job:1");
    assert!(connection["subscriptions"][0]["behind"].as_u64() > Some(0), "{connection}");
    assert!(connection["history"].as_array().unwrap().len() >= 2);
    let answer = page.ask(json!({"what": "channel", "prefix": "job:"})).await;
    assert_eq!(answer["channels"][0]["channel"], "job:1", "{answer}");
    let mut points = 0;
    while points < 2 {
        let answer = page.ask(json!({"what": "channel", "channel": "job:1"})).await;
        assert_eq!(answer["channels"][0]["seq"].as_u64().unwrap() % 100, 0, "{answer}");
        points = answer["history"].as_array().unwrap().len();
        page.next("$gateways", "sample").await;
    }
    let answer = page.ask(json!({"what": "connection", "connection": "0-nobody"})).await;
    assert_eq!(answer["ok"], false);
    assert!(answer["error"].as_str().unwrap().contains("no connection"), "{answer}");
}

#[tokio::test]
async fn history_is_answered_by_the_asked_gateway() {
    let gateway = start(|_| {}).await;
    let mut page = Page::open(&gateway).await;
    page.listen("$gateways").await;
    let mut id = String::new();
    for _ in 0..3 {
        id = page.next("$gateways", "sample").await["gateway"].as_str().unwrap().to_owned();
    }
    let ask =
        json!({"what": "history", "gateway": null, "from_ms": 0, "to_ms": 9_000_000_000_000_u64, "step": 1});
    let answer = page.ask(ask).await;
    assert_eq!((&answer["step"], &answer["part"], &answer["parts"]), (&json!(1), &json!(1), &json!(1)));
    let own = &answer["gateways"][&id];
    let points = own["at"].as_array().unwrap().len();
    assert!(points >= 3, "{answer}");
    for series in ["connections", "deliveries", "p50", "up", "lost"] {
        assert_eq!(own["series"][series].as_array().unwrap().len(), points, "{series}");
    }
    assert_eq!(own["series"]["connections"][points - 1], 1);
    assert_eq!(own["series"]["up"][0], Value::Null, "there is no Redis");
}

#[tokio::test]
async fn connections_are_ended_by_order() {
    let gateway = start(|_| {}).await;
    let mut page = Page::open(&gateway).await;
    for (order, code, number) in [("reconnect", "reconnect", 4002), ("disconnect", "forbidden", 4403)] {
        let mut client = Client::connect(gateway.listen_addr()).await;
        client.subscribe("a", "").await;
        let mut other = Client::connect(gateway.listen_addr()).await;
        let name = client.hello.connection.clone();
        let answer = page.ask(json!({"what": order, "connection": name})).await;
        assert_eq!(answer["ok"], true, "{answer}");
        assert_eq!(client.read_goodbye().await, (code.to_owned(), number));
        let answer = page.ask(json!({"what": order, "connection": "7-none"})).await;
        assert_eq!(answer["ok"], false, "{answer}");
        other.subscribe("a", "").await;
    }
}

#[tokio::test]
async fn a_drain_by_order_is_told_and_handed_to_the_process() {
    let broker = Embedded::default();
    let (asked, meant) =
        (start_on(&broker, |_| {}).await, start_on(&broker, |config| config.name = "b".into()).await);
    let mut page = Page::open(&asked).await;
    page.listen("$gateways").await;
    let sample = page.sample_where(|sample| sample["name"] == "b").await;
    let id = sample["gateway"].as_str().unwrap();
    let (ordered, other) = (meant.drain_ordered(), asked.drain_ordered());
    let answer = page.ask(json!({"what": "drain", "gateway": id})).await;
    assert_eq!((&answer["ok"], &answer["gateway"]), (&json!(true), &json!(id)), "{answer}");
    ordered.await;
    let shutdown = tokio::spawn(meant.shutdown());
    let leaving = page.next("$gateways", "leaving").await;
    assert_eq!((&leaving["gateway"], &leaving["name"]), (&json!(id), &json!("b")));
    shutdown.await.unwrap();
    let answer = page.ask(json!({"what": "channel", "prefix": ""})).await;
    assert_ne!(answer["gateway"], id);
    assert_eq!(futures_util::FutureExt::now_or_never(other), None, "only the one that was named");
}

#[tokio::test]
async fn bad_asks_are_refused_with_what_to_do() {
    let gateway = start(|_| {}).await;
    let (addr, admin) = (gateway.listen_addr(), gateway.admin_addr());
    let cases = [
        ("nope", 400, "one JSON object"),
        (r#"{"ask":"a","what":"explode"}"#, 400, "must be one of"),
        (r#"{"ask":"a","what":"drain"}"#, 400, "needs a gateway"),
        (r#"{"ask":"A b","what":"connection","connection":"x"}"#, 400, "a-z and 0-9"),
        (r#"{"ask":"a","what":"drain","gateway":"nobody-abc123"}"#, 404, "no gateway"),
        (r#"{"ask":"a","what":"channel","prefix":"","limit":51}"#, 400, "limit must be"),
    ];
    for (body, status, wanted) in cases {
        let answer = post_ask(admin, body).await;
        assert_eq!(answer.status, status, "{body}: {answer:?}");
        assert!(answer.body.contains(wanted), "{body}: {answer:?}");
    }
    let good = r#"{"ask":"a","what":"connection","connection":"x"}"#;
    let answer = request(admin, "POST /ops/ask", "content-type: text/plain\r\n", good.as_bytes()).await;
    assert_eq!(answer.status, 415, "{answer:?}");
    let foreign = "content-type: application/json\r\norigin: http://elsewhere.example\r\n";
    assert_eq!(request(admin, "POST /ops/ask", foreign, good.as_bytes()).await.status, 403);
    assert_eq!(post_ask(admin, &" ".repeat(9_000)).await.status, 413);
    assert_eq!(get(admin, "/ops/ask").await.status, 405);
    assert_eq!(post_ask(addr, good).await.status, 404, "only operators may ask");
    assert_eq!(post_ask(admin, good).await.status, 202);
}

#[tokio::test]
async fn nobody_publishes_to_own_channels_over_http() {
    let gateway = start(|_| {}).await;
    for channel in ["$gateways", "$ask", "$answers:x", "$gateway:x"] {
        let answer = post(gateway.listen_addr(), channel, "1").await;
        assert_eq!((answer.status, answer.error_code().as_str()), (403, "forbidden_channel"), "{answer:?}");
        // The admin port takes no events at all.
        assert_eq!(post(gateway.admin_addr(), channel, "1").await.status, 404);
        let line = format!("POST /v1/channels/{channel}/counts");
        let body = br#"{"counts":{"a":1},"why":"unheard"}"#;
        let counts = request(gateway.listen_addr(), &line, "", body);
        assert_eq!(counts.await.status, 403);
    }
    let mut client = Client::connect(gateway.listen_addr()).await;
    client.send(r#"{"type":"subscribe","id":1,"channels":[{"channel":"$gateways"}]}"#).await;
    assert_eq!(client.read_error().await.0, "forbidden_channel");
}

#[tokio::test]
async fn what_is_said_stays_small_however_much_there_is() {
    let gateway = start(|config| config.limits.subscriptions_max = 20_000).await;
    let addr = gateway.listen_addr();
    let mut clients = Vec::new();
    for _ in 0..1_000 {
        clients.push(Client::connect(addr).await);
    }
    let long = "c".repeat(150);
    for chunk in (0..10_000).collect::<Vec<u32>>().chunks(200) {
        let channels: Vec<_> = chunk.iter().map(|n| json!({"channel": format!("{long}:{n}")})).collect();
        clients[0]
            .send(&json!({"type": "subscribe", "id": chunk[0], "channels": channels}).to_string())
            .await;
        for _ in chunk {
            while !matches!(clients[0].next().await, ServerFrame::Subscribed(_)) {}
        }
    }
    let mut page = Page::open(&gateway).await;
    page.listen("$gateways").await;
    // `Page::next` checks the sizes.
    let sample = page.sample_where(|sample| sample["subscriptions"]["full"].as_u64() >= Some(10_000)).await;
    assert!(sample.to_string().len() < 8 * 1024, "{}", sample.to_string().len());
    let channel = format!("$gateway:{}", sample["gateway"].as_str().unwrap());
    page.listen(&channel).await;
    let detail = page.next(&channel, "detail").await;
    assert_eq!(detail["connections"].as_array().unwrap().len(), 50);
    assert_eq!(detail["connections_n"], 1_001);
    assert!(detail["channels"].as_array().unwrap().len() <= 50);
    assert!(detail["channels_n"].as_u64() >= Some(10_000));
    let name = clients[0].hello.connection.clone();
    let answer = page.ask(json!({"what": "connection", "connection": name})).await;
    assert_eq!(answer["connection"]["subscriptions"].as_array().unwrap().len(), 100);
    assert_eq!(answer["connection"]["subscriptions_n"], 10_000);
    let answer = page.ask(json!({"what": "channel", "prefix": "c"})).await;
    assert_eq!(answer["channels"].as_array().unwrap().len(), 50);
}

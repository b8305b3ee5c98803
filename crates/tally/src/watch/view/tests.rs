//! Pictures of the live view, as text.

use super::*;
use crate::watch::model::tests::Listener;

fn picture(listener: &Listener, width: usize, height: usize) -> String {
    let ledger = |name: &ChannelName| listener.ledgers.get(name);
    let scene = Scene { model: &listener.model, ledger: &ledger, now: listener.now, width, height };
    let lines = draw(&scene);
    assert!(lines.len() <= height, "{} rows", lines.len());
    assert!(lines.iter().all(|line| line.width() <= width), "too wide for {width}");
    let rows: String = lines.iter().map(|line| line.plain().trim_end().to_owned() + "\n").collect();
    format!("\n{rows}")
}

fn throttled() -> Listener {
    let mut listener = Listener::new(&["job:42"]);
    listener.attach("job:42", 120);
    let state = r#"{"type":"events","channel":"job:42","epoch":"7f3a9c12e0","from":121,"to":121,"events":[
        {"kind":"run_started","class":"state","at":1700000000000,"data":{"command":"make"}}]}"#;
    listener.frame(state);
    listener.wait(1_000);
    listener.events(
        "job:42",
        122,
        "changed",
        &[r#""\u001b[33mchanged: [web-1]\u001b[0m""#, r#"{"host": "web-2"}"#],
    );
    listener.frame(r#"{"type":"rung","channel":"job:42","rung":"counts","why":"throttled"}"#);
    for n in 1..=4 {
        listener.wait(250);
        let totals = format!(r#"{{"ok":{},"changed":{},"run_started":1}}"#, 120 + n * 250, 2 + n * 6);
        listener.counts("job:42", 123 + n * 256, &totals, "throttled");
    }
    listener
}

#[test]
fn one_channel() {
    let wanted = r#"
 tally  job:42                                      ● connected  127.0.0.1:8420
 ──────────────────────────────────────────────────────────────────────────────
 ▰▰▱ counts  throttled: exact counts while more than 200/s come
 514/s     ▁█                                        seq 1,147  epoch 7f3a9c12…

 kind         count  share                                                 rate
 ok           1,120  ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━   97.6 %     500/s
 changed         26  ━                                          2.3 %      13/s
 run_started      1  ╸                                          0.1 %     0.5/s

 state ◆ run_started  2 s ago  {"command":"make"}

 newest (UTC)
 22:13:20.000  ▸ attached at 120
 22:13:20.000  ◆ run_started  {"command":"make"}
 22:13:21.000    changed      changed: [web-1]
 22:13:21.000    changed      {"host": "web-2"}
 22:13:21.000  ▸ rung: counts (throttled)
 22:13:22.000  Σ 1,024 events counted while throttled: 1,000 ok, 24 changed

 ──────────────────────────────────────────────────────────────────────────────
 ledger  attached 120 + full 3 + counted 1,024 (throttled) + summarised 0
         = 1,147 ✓ cursor 1,147
 q quit  space pause  f full  c counts  s summary
"#;
    assert_eq!(picture(&throttled(), 80, 24), wanted);
}

#[test]
fn one_channel_in_a_narrow_terminal() {
    let wanted = r#"
 tally  job:42              ● connected
 ──────────────────────────────────────
 ▰▰▱ counts  throttled: exact counts w…
 514/s       seq 1,147  epoch 7f3a9c12…

 kind         count              rate
 ok           1,120  97.6 %     500/s
 and 2 more      27

 state ◆ run_started  2 s ago  {"comma…


 ──────────────────────────────────────
 ledger  attached 120 + full 3
         + counted 1,024 (throttled)
         + summarised 0
         = 1,147 ✓ cursor 1,147
 q quit  space pause  f full  c counts…
"#;
    assert_eq!(picture(&throttled(), 40, 18), wanted);
}

#[test]
fn every_size_holds_its_picture() {
    let (one, several) = (throttled(), several());
    for (width, height) in [(20, 5), (1, 1), (0, 0), (3, 40), (400, 3), (80, 8), (38, 16), (200, 60)] {
        picture(&one, width, height);
        picture(&several, width, height);
    }
}

fn several() -> Listener {
    let mut listener = Listener::new(&["job:42", "job:43", "deploy:eu-west-1"]);
    listener.attach("job:42", 120);
    listener.attach("job:43", 1_204_000);
    listener.frame(
        r#"{"type":"subscribed","id":1,"channel":"deploy:eu-west-1","rung":"full","max_rate":200,"tick_ms":250,
        "resumed":false,"upstream":"pending"}"#,
    );
    listener.frame(r#"{"type":"rung","channel":null,"rung":"summary","why":"backpressure"}"#);
    listener.wait(1_000);
    listener.frame(
        r#"{"type":"summary","why":"backpressure","channels":[{"channel":"job:43","epoch":"e","seq":1234000,
        "totals":{"ok":1224000,"failed":10000},
        "state":{"seq":1204001,"kind":"failed","at":1700000000000,"data":null}}]}"#,
    );
    listener
}

#[test]
fn several_channels() {
    let wanted = r#"
 tally  3 channels                                                      ● connected  127.0.0.1:8420
 ──────────────────────────────────────────────────────────────────────────────────────────────────
  ▲ upstream pending for 1 of 3 channels: the gateway has no broker yet; the attach follows
 channel           rung        why                  seq      rate  kinds            state
 job:42            ▰▱▱ summary backpressure         120         –  ok 100 %
 job:43            ▰▱▱ summary backpressure   1,234,000  30,000/s  ok 99 %          ◆ failed
 deploy:eu-west-1  ◌ pending                          –         –

 newest (UTC)
 22:13:20.000  job:42            ▸ attached at 120
 22:13:20.000  job:43            ▸ attached at 1,204,000
 22:13:20.000  deploy:eu-west-1  ▸ waiting for the broker
 22:13:20.000                    ▸ ceiling of the connection: summary (backpressure)
 22:13:21.000  job:43            Σ 30,000 events summarised under backpressure: 20,000 ok, 10,000 …


 ──────────────────────────────────────────────────────────────────────────────────────────────────
 ledgers  attached 1,204,120 + full 0 + counted 0 + summarised 30,000 (backpressure)
          = 1,234,120 ✓ cursor 1,234,120 (1 channel not attached)
 q quit  space pause  f full  c counts  s summary
"#;
    assert_eq!(picture(&several(), 100, 20), wanted);
}

#[test]
fn channels_without_room_are_told_together() {
    let names: Vec<_> = (1..=30).map(|n| format!("job:{n}")).collect();
    let mut listener = Listener::new(&names.iter().map(String::as_str).collect::<Vec<_>>());
    names.iter().for_each(|name| listener.attach(name, 10));
    let shown = picture(&listener, 80, 24);
    assert!(shown.contains("\n and 19 more channels\n"), "{shown}");
    assert!(shown.contains(" = 300 ✓ cursor 300"), "{shown}");
}

#[test]
fn trouble_stands_above_everything() {
    let mut listener = throttled();
    listener.frame(r#"{"type":"upstream","status":"down","since":1700000000000,"channels":null}"#);
    listener.frame(r#"{"type":"reset","channel":"job:42","epoch":"other","seq":0,"totals":{},"state":null}"#);
    listener.violate("job:42", "events 7 to 9 came at \u{1b}[31mcursor 0");
    listener.wait(3_000);
    let wanted = r#"
 tally  job:42                                      ● connected  127.0.0.1:8420
 ──────────────────────────────────────────────────────────────────────────────
  ✖ the gateway broke a law, 1 time so far: order on job:42: events 7 to 9 cam…
  ▲ upstream down for 5 s: what is missed will be counted exactly
  ↺ job:42 was reset 3 s ago: its ledger ended at 1,147, a new one began
 ▰▰▱ counts  throttled: exact counts while more than 200/s come
 –                                                           seq 0  epoch other

 kind  count  share                                                        rate
 no events yet

 newest (UTC)
 22:13:20.000  ▸ attached at 120
 22:13:20.000  ◆ run_started  {"command":"make"}
 22:13:21.000    changed      changed: [web-1]
 22:13:21.000    changed      {"host": "web-2"}
 22:13:21.000  ▸ rung: counts (throttled)
 22:13:22.000  Σ 1,024 events counted while throttled: 1,000 ok, 24 changed
 22:13:22.000  ▲ upstream down: the gateway does not hear the broker
 22:13:22.000  ▲ reset: the numbering broke off at 1,147; a new ledger starts …
 22:13:22.000  ▲ law broken: order on job:42: events 7 to 9 came at cursor 0
 ──────────────────────────────────────────────────────────────────────────────
 ledger  attached 0 + full 0 + counted 0 + summarised 0 = 0 ✓ cursor 0
 q quit  space pause  f full  c counts  s summary
"#;
    assert_eq!(picture(&listener, 80, 24), wanted);
    listener.lose_connection("the connection was lost: reset by peer", Some(2_500));
    listener.wait(700);
    let shown = picture(&listener, 80, 24);
    assert!(shown.contains("○ reconnecting"), "{shown}");
    assert!(shown.contains("▲ next attempt in 1.8 s: the connection was lost: reset by peer"), "{shown}");
    assert!(shown.contains("◌ not attached  goes on from seq 0"), "{shown}");
    listener.lose_connection("refused with HTTP status 403", None);
    assert!(picture(&listener, 80, 24).contains("✖ refused with HTTP status 403"));
}

#[test]
fn the_ledger_names_every_reason_and_adds_up() {
    let mut listener = Listener::new(&["job:42"]);
    listener.attach("job:42", 120);
    listener.counts("job:42", 1_120, r#"{"ok":1120}"#, "replay");
    listener.counts("job:42", 1_324, r#"{"ok":1324}"#, "throttled");
    listener.events("job:42", 1_325, "ok", &["1"]);
    let ledger = listener.ledgers.values().next().unwrap();
    let lines = |width| ledger_lines("job:42", ledger, width).iter().map(Line::plain).collect::<Vec<_>>();
    let one = "  ledger  attached 120 + full 1 + counted 1,204 (204 throttled, 1,000 replay) + summarised 0 = 1,325 ✓ cursor 1,325";
    assert_eq!(lines(120), ["job:42", one]);
    assert_eq!(lines(60).len(), 4);
    assert!(ledger.closes());
}

#[test]
fn reduced_forms_are_named_with_their_reason() {
    let words = |form: &str, why: &str| {
        let mut listener = Listener::new(&["a"]);
        listener.attach("a", 0);
        listener.frame(&format!(r#"{{"type":"rung","channel":"a","rung":"{form}","why":"{why}"}}"#));
        picture(&listener, 100, 20).lines().nth(3).unwrap().to_owned()
    };
    assert_eq!(words("full", "throttled"), " ▰▰▰ full  every event, as it was published");
    assert_eq!(words("counts", "asked"), " ▰▰▱ counts  as asked: exact counts");
    assert_eq!(
        words("summary", "backpressure"),
        " ▰▱▱ summary  backpressure: exact counts, now and then, for this listener reads too slowly"
    );
}

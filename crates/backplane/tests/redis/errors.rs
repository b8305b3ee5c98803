//! What keeps a node from its server: each a sentence of its own, and none with a credential.

use crate::calls::{channel, event, events};
use crate::support::{Server, expect_down, expect_up, up};
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::Duration;
use tally_backplane::redis::{ACL_RULE, LinkError, Redis, Timeouts};
use tally_backplane::{Backplane, PublishError};
use tally_protocol::{Class, Heard};

async fn error(redis: Redis) -> LinkError {
    redis.check().await.expect_err("the server is not as it should be")
}

fn with_credentials(server: &Server, user: &str, password: &str) -> Redis {
    Redis::new(&format!("redis://{user}:{password}@127.0.0.1:{}", server.port)).unwrap()
}

#[tokio::test]
async fn a_server_that_is_right_passes() {
    let server = Server::start();
    assert_eq!(server.redis().check().await, Ok(()));
    assert_eq!(server.redis().with_database(3).check().await, Ok(()));
}

#[tokio::test]
async fn a_refused_connection() {
    assert!(matches!(error(Server::absent().redis()).await, LinkError::Refused(_)));
    let missing = Redis::new("redis+unix:///no/such/socket").unwrap();
    let LinkError::Unreachable(_, why) = error(missing).await else { panic!("no socket is there") };
    assert_eq!(why, "No such file or directory");
}

#[tokio::test]
async fn passwords() {
    let server = Server::start_with(&["--requirepass", "right-one"]);
    assert_eq!(error(server.redis()).await, LinkError::PasswordNeeded);
    let wrong = error(with_credentials(&server, "", "wrong-one")).await;
    assert_eq!(wrong, LinkError::WrongPassword);
    assert!(!format!("{wrong} {wrong:?}").contains("wrong-one"));
    assert_eq!(error(with_credentials(&server, "nobody", "right-one")).await, LinkError::WrongPassword);
    assert_eq!(server.redis().with_password("right-one").check().await, Ok(()));
    // A user is never left out: without a password it is one that needs none, or a refusal.
    let open = Server::start();
    assert_eq!(error(open.redis().with_user("nobody")).await, LinkError::WrongPassword);
    open.cli(&["ACL", "SETUSER", "free", "on", "nopass", "~*", "&*", "+@all"]);
    assert_eq!(open.redis().with_user("free").check().await, Ok(()));
}

#[tokio::test]
async fn a_user_without_rights_is_told_the_rule_and_with_it_everything_works() {
    let server = Server::start();
    server.cli(&["ACL", "SETUSER", "tally", "on", ">pw", "-@all"]);
    let denied = error(with_credentials(&server, "tally", "pw")).await;
    assert!(
        matches!(&denied, LinkError::NoPermission(_)) && denied.to_string().contains(ACL_RULE),
        "{denied}"
    );
    let mut rule = vec!["ACL", "SETUSER", "tally"];
    rule.extend(ACL_RULE.split(' '));
    assert_eq!(server.cli(&rule), "OK");
    let (node, _stream) = up(with_credentials(&server, "tally", "pw")).await;
    node.subscribe(vec![channel("a")]).await.unwrap();
    let state = event("k", Class::State, "1");
    let call = crate::calls::by("p", 1, crate::calls::batch("a", vec![state]));
    assert_eq!(node.publish(call).await.unwrap().heard, Heard::Yes);
    assert!(node.snapshot(channel("a")).await.unwrap().is_some());
    assert!(node.audit(vec![channel("a")]).await.unwrap()[0].is_some());
    node.unsubscribe(vec![channel("a")]).await.unwrap();
    // Each right is needed: without any one of them the link says so.
    let needed = [
        "info",
        "script|load",
        "evalsha",
        "hmget",
        "hset",
        "pexpire",
        "unlink",
        "publish",
        "subscribe",
        "ping",
    ];
    for right in needed {
        server.cli(&["ACL", "SETUSER", "tally", &format!("-{right}")]);
        let denied = error(with_credentials(&server, "tally", "pw")).await;
        assert!(matches!(denied, LinkError::NoPermission(_)), "without {right}: {denied}");
        server.cli(&["ACL", "SETUSER", "tally", &format!("+{right}")]);
    }
    for scope in ["resetkeys", "resetchannels"] {
        server.cli(&["ACL", "SETUSER", "tally", scope]);
        assert!(matches!(error(with_credentials(&server, "tally", "pw")).await, LinkError::NoPermission(_)));
        server.cli(&rule);
    }
}

#[tokio::test]
async fn a_replica_is_refused_and_a_demoted_master_is_noticed() {
    let master = Server::start();
    let replica = Server::start_with(&["--replicaof", "127.0.0.1", &master.port.to_string()]);
    assert_eq!(error(replica.redis()).await, LinkError::ReadOnly);
    let timeouts = Timeouts { probe: Duration::from_millis(100), ..Timeouts::default() };
    let (_node, mut stream) = up(master.redis().with_timeouts(timeouts)).await;
    master.cli(&["REPLICAOF", "127.0.0.1", &replica.port.to_string()]);
    assert!(expect_down(&mut stream).await.contains("read-only replica"));
    master.cli(&["REPLICAOF", "NO", "ONE"]);
    expect_up(&mut stream).await;
}

#[tokio::test]
async fn a_cluster_is_refused() {
    let server = Server::start_with(&["--cluster-enabled", "yes"]);
    assert_eq!(error(server.redis()).await, LinkError::Cluster);
}

#[tokio::test]
async fn a_full_server_still_serves_listeners_and_refuses_batches_surely() {
    let server = Server::start();
    let (node, mut stream) = up(server.redis()).await;
    node.publish(events("a", &["k"])).await.unwrap();
    server.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    let full = node.publish(events("a", &["k"])).await.unwrap_err();
    assert!(matches!(&full, PublishError::Unavailable(why) if why.contains("maxmemory")), "{full:?}");
    server.cli(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    expect_up(&mut stream).await;
    node.subscribe(vec![channel("a")]).await.unwrap();
    assert_eq!(node.snapshot(channel("a")).await.unwrap().unwrap().seq.get(), 1, "nothing was written");
    server.cli(&["CONFIG", "SET", "maxmemory", "0"]);
    assert_eq!(node.publish(events("a", &["k"])).await.unwrap().to.get(), 2);
}

#[tokio::test]
async fn too_many_clients() {
    let server = Server::start_with(&["--maxclients", "1"]);
    assert_eq!(error(server.redis()).await, LinkError::TooManyClients);
}

/// Answers everything with one line, as a server does that lets nobody in.
fn scripted(lines: &'static str) -> Redis {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        while let Ok((mut client, _)) = listener.accept() {
            for line in lines.lines() {
                let mut request = [0; 1024];
                let _ = client.read(&mut request);
                let _ = client.write_all(format!("{line}\r\n").as_bytes());
            }
        }
    });
    Redis::new(&format!("redis://127.0.0.1:{port}")).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_other_servers_answer() {
    let denied =
        "-DENIED Redis is running in protected mode because protected mode is enabled and no password is set";
    assert_eq!(error(scripted(denied)).await, LinkError::ProtectedMode);
    let old = error(scripted("-ERR unknown command `HELLO`, with args beginning with: `3`")).await;
    assert!(matches!(old, LinkError::TooOld(_)), "{old}");
    assert_eq!(error(scripted("-LOADING Redis is loading the dataset in memory")).await, LinkError::Loading);
    let not_redis = error(scripted("HTTP/1.1 400 Bad Request")).await;
    assert!(!not_redis.to_string().is_empty());
}

#[tokio::test]
async fn tls_with_an_authority_of_its_own() {
    let folder = tempfile::TempDir::new().unwrap();
    let issue = || {
        let key = rcgen::KeyPair::generate().unwrap();
        let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
        (rcgen::CertificateParams::new(names).unwrap().self_signed(&key).unwrap(), key)
    };
    let (certificate, key) = issue();
    let (certificate_at, key_at) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&certificate_at, certificate.pem()).unwrap();
    std::fs::write(&key_at, key.serialize_pem()).unwrap();
    let tls_port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let _server = Server::start_with(&[
        "--tls-port",
        &tls_port.to_string(),
        "--tls-cert-file",
        certificate_at.to_str().unwrap(),
        "--tls-key-file",
        key_at.to_str().unwrap(),
        "--tls-auth-clients",
        "no",
    ]);
    let redis = Redis::new(&format!("rediss://127.0.0.1:{tls_port}")).unwrap();
    let trusted = redis.clone().with_ca_pem(certificate.pem().as_bytes()).unwrap();
    assert_eq!(trusted.check().await, Ok(()));
    let other = redis.clone().with_ca_pem(issue().0.pem().as_bytes()).unwrap();
    let refused = error(other).await;
    assert!(matches!(refused, LinkError::Tls(..)), "{refused:?}");
    assert!(redis.with_ca_pem(b"no certificate").is_err());
    let plain = Redis::new("redis://127.0.0.1").unwrap();
    assert!(plain.with_ca_pem(certificate.pem().as_bytes()).is_err());
}

#[test]
fn the_documented_rule_is_the_tested_one() {
    assert!(include_str!("../../../../docs/redis.md").contains(ACL_RULE));
}

/// fred drops an error to SUBSCRIBE that comes with nothing in flight: it must not pass for a subscription.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_forbidden_subscription_is_no_subscription() {
    let server = Server::start();
    let allowed = "&tally:{$probe* &tally:{mine*";
    let mut rule = vec!["ACL", "SETUSER", "some", "on", ">pw", "~*", "+@all", "resetchannels"];
    rule.extend(allowed.split(' '));
    server.cli(&rule);
    let (node, mut stream) = up(with_credentials(&server, "some", "pw")).await;
    for _ in 0..4 {
        node.subscribe(vec![channel("mine")]).await.unwrap();
        let refused = node.subscribe(vec![channel("mine2"), channel("yours")]).await.unwrap_err();
        assert!(refused.to_string().contains("ACL rule"), "{refused}");
        assert!(expect_down(&mut stream).await.contains("too few rights"));
        expect_up(&mut stream).await;
    }
}

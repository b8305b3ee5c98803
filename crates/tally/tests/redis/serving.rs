//! What `tally serve` says of its Redis, and what it never says.

use crate::eventually;
use crate::support::redis::{Connection, Redis};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

const SECRET: &str = "s3cret-of-redis";

/// A `tally serve` with everything that it prints.
struct Serve {
    child: Child,
    said: Arc<Mutex<String>>,
}

impl Serve {
    fn start(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tally"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
        command.args(["--set", "redis_reconnect_max_ms=100"]).args(arguments);
        command.env("TALLY_LOG", "trace").envs(environment.iter().copied());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        collect(child.stdout.take().unwrap(), &said);
        collect(child.stderr.take().unwrap(), &said);
        Self { child, said }
    }

    fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    async fn until_said(&self, text: &str) {
        eventually(&format!("it says {text:?}: {}", self.said()), || self.said().contains(text)).await;
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _already_ended = self.child.kill();
        let _already_waited = self.child.wait();
    }
}

fn collect(mut from: impl std::io::Read + Send + 'static, into: &Arc<Mutex<String>>) {
    let into = Arc::clone(into);
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(n @ 1..) = from.read(&mut buffer) {
            into.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..n]));
        }
    });
}

/// Even with every log of every library.
#[tokio::test]
async fn credentials_are_never_said() {
    let redis = Redis::start();
    redis.run(&["ACL", "SETUSER", "gateway", "on", &format!(">{SECRET}"), "~*", "&*", "+@all"]);
    redis.run(&["ACL", "SETUSER", "default", "off"]);
    let url = format!("redis://gateway:{SECRET}@127.0.0.1:{}/3", redis.port);
    let serve = Serve::start(&["--set", "redis_prefix=mine"], &[("TALLY_REDIS", &url)]);
    serve.until_said(&format!("backplane: redis (redis://127.0.0.1:{}, prefix mine)", redis.port)).await;
    serve.until_said("the broker is there").await;
    assert!(!serve.said().contains(SECRET), "{}", serve.said());

    let check = Command::new(env!("CARGO_BIN_EXE_tally"))
        .args(["config", "check", "--redis", &url])
        .output()
        .unwrap();
    let said = String::from_utf8(check.stdout).unwrap();
    assert!(check.status.success() && said.contains("backplane: redis (redis://127.0.0.1:"), "{said}");
    assert!(!said.contains(SECRET), "{said}");
}

#[tokio::test]
async fn a_wrong_password_is_said_once_in_a_sentence() {
    let redis = Redis::start();
    redis.run(&["CONFIG", "SET", "requirepass", SECRET]);
    let url = redis.url();
    let serve =
        Serve::start(&["--redis", &url], &[("TALLY_REDIS_PASSWORD", "wrong-guess"), ("TALLY_LOG", "info")]);
    serve.until_said("Redis refuses the user or the password").await;
    let mut connection = Connection::open(redis.port);
    connection.send(&["AUTH", SECRET]);
    connection.read();
    eventually("it tries again, and again", || {
        connection.send(&["INFO", "errorstats"]);
        let errors = connection.read().text();
        let refused = errors.lines().find_map(|line| line.strip_prefix("errorstat_WRONGPASS:count="));
        refused.is_some_and(|refused| refused.parse::<u32>().unwrap() >= 5)
    })
    .await;
    let said = serve.said();
    assert_eq!(said.matches("refuses the user").count(), 1, "{said}");
    assert!(!said.contains("wrong-guess"), "{said}");
}

#[tokio::test]
async fn a_socket_will_do() {
    let redis = Redis::start();
    let url = format!("redis+unix://{}", redis.socket().display());
    let serve = Serve::start(&["--redis", &url], &[]);
    serve.until_said("the broker is there").await;
    assert!(serve.said().contains(&format!("backplane: redis ({url}, prefix tally)")), "{}", serve.said());
}

//! Servers for tests: started on a free loopback port in a folder of their own, ended with their handle.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tally_backplane::redis::{Redis, RedisNode};
use tally_backplane::{Incoming, Stream};
use tempfile::TempDir;
use tokio::time::timeout;

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Server {
    child: Option<Child>,
    folder: TempDir,
    pub(crate) port: u16,
    arguments: Vec<String>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// With further arguments of redis-server.
    pub(crate) fn start_with(arguments: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let mut server = Self { child: None, folder, port: 0, arguments };
        // Between the choice of a port and its use somebody else may take it.
        for _ in 0..10 {
            server.port = free_port();
            if server.try_start() {
                return server;
            }
        }
        panic!("redis-server does not start:\n{}", server.log());
    }

    /// A server that does not run yet, on a port that is free now.
    pub(crate) fn absent() -> Self {
        Self { child: None, folder: TempDir::new().unwrap(), port: free_port(), arguments: Vec::new() }
    }

    /// Starts it, or starts it again, on the same port and in the same folder.
    pub(crate) fn restart(&mut self) {
        self.kill();
        assert!(self.try_start(), "redis-server does not start again:\n{}", self.log());
    }

    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    fn try_start(&mut self) -> bool {
        let mut command = Command::new("redis-server");
        let port = self.port.to_string();
        command.args(["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
        command.args(["--enable-debug-command", "yes", "--unixsocket", "redis.sock", "--logfile", "log"]);
        command
            .args(&self.arguments)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let started = command.spawn();
        let child = started.unwrap_or_else(|error| {
            panic!("these tests need redis-server ({error}); install it with: apt-get install redis-server")
        });
        let child = self.child.insert(child);
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if child.try_wait().unwrap().is_some() {
                return false;
            }
            if answers(self.port) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        false
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("redis.sock")
    }

    /// Sends its own process a signal: `STOP` or `CONT`.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.as_ref().expect("it runs").id();
        let sent = Command::new("kill").args([format!("-{name}"), pid.to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()));
    }

    pub(crate) fn redis(&self) -> Redis {
        Redis::new(&format!("redis://127.0.0.1:{}", self.port)).unwrap()
    }

    /// Takes the time off every key's remaining life, and off the moments that metas and producers' hashes name.
    pub(crate) fn elapse(&self, by: Duration) {
        const SCRIPT: &str = "local by = tonumber(ARGV[1])
            for _, key in ipairs(redis.call('KEYS', '*')) do
                if string.find(key, ':producers:%d$') then
                    local began = redis.call('HGET', key, '#')
                    redis.call('HSET', key, '#', string.format('%.0f', began - by))
                end
                local head = string.find(key, ':meta$') and redis.call('HGET', key, 'head')
                if head then
                    local looked, accepted = struct.unpack('>I8', head, 13), struct.unpack('>I8', head, 85)
                    local function earlier(at) return struct.pack('>I8', math.max(at - by, 0)) end
                    head = string.sub(head, 1, 12) .. earlier(looked) .. string.sub(head, 21, 84)
                        .. earlier(accepted) .. string.sub(head, 93)
                    redis.call('HSET', key, 'head', head)
                end
                local rest = redis.call('PTTL', key) - by
                if rest > 0 then redis.call('PEXPIRE', key, string.format('%.0f', rest)) else redis.call('DEL', key) end
            end
            return 'done'";
        assert_eq!(self.cli(&["EVAL", SCRIPT, "0", &by.as_millis().to_string()]), "done");
    }

    /// What redis-cli prints for a command, without the last line break.
    pub(crate) fn cli(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("redis-cli");
        let output = command.args(["-h", "127.0.0.1", "-p", &self.port.to_string()]).args(arguments).output();
        let output = output.expect("redis-cli comes with redis-server: apt-get install redis-server");
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// The same for a command whose arguments are any bytes.
    pub(crate) fn cli_bytes(&self, arguments: &[&[u8]]) -> String {
        let line: Vec<_> = arguments.iter().map(|argument| quoted(argument)).collect();
        let mut command = Command::new("redis-cli");
        command.args(["-h", "127.0.0.1", "-p", &self.port.to_string()]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(format!("{}\n", line.join(" ")).as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }
}

/// As redis-cli takes bytes that are no text.
fn quoted(bytes: &[u8]) -> String {
    let escaped: String = bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect();
    format!("\"{escaped}\"")
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Any answer will do: an error is one as well.
fn answers(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let mut first = [0];
    stream.write_all(b"PING\r\n").is_ok() && stream.read_exact(&mut first).is_ok()
}

/// A node whose link is up.
pub(crate) async fn up(redis: Redis) -> (RedisNode, Stream) {
    let (node, mut stream) = redis.connect();
    expect_up(&mut stream).await;
    (node, stream)
}

/// Reads until the link is up, past what was before.
pub(crate) async fn expect_up(stream: &mut Stream) {
    loop {
        match timeout(PATIENCE, stream.next()).await.expect("the link comes up in time") {
            Some(Incoming::Up) => return,
            Some(_) => {}
            None => panic!("the stream ended"),
        }
    }
}

/// Reads until the link is down, past what was before; answers the reason.
pub(crate) async fn expect_down(stream: &mut Stream) -> String {
    loop {
        match timeout(PATIENCE, stream.next()).await.expect("the link goes down in time") {
            Some(Incoming::Down { reason }) => return reason,
            Some(_) => {}
            None => panic!("the stream ended"),
        }
    }
}

//! Settings from each source, what later ones win, and what each error says.

use super::*;

fn load(file: &str, env: &[(&str, &str)], flags: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
    let own = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
    let file = Some((PathBuf::from("tally.toml"), file.to_owned()));
    Config::load(&Sources { file, env: own(env), flags: own(flags) })
}

#[test]
fn what_is_printed_reads_back() {
    assert_eq!(load(&Config::default_toml(), &[], &[]).unwrap(), Config::default());
}

#[test]
fn later_sources_win() {
    let file = "listen = \"127.0.0.1:1\"\nadmin = \"127.0.0.1:2\"\nshards = 3\n";
    let config =
        load(file, &[("TALLY_LISTEN", "127.0.0.1:4"), ("HOME", "x")], &[("listen", "127.0.0.1:5")]).unwrap();
    assert_eq!((config.listen.port(), config.admin.port(), config.shards), (5, 2, 3));
}

#[test]
fn lists_come_from_everywhere() {
    let exact = |origin: &str| AllowedOrigin::Exact(origin.into());
    let config = load("allow_origin = [\"https://A.example:443\", \"null\"]", &[], &[]).unwrap();
    assert_eq!(config.allow_origin, [exact("https://a.example"), AllowedOrigin::Null]);
    let config = load("", &[("TALLY_ALLOW_ORIGIN", "http://x:8080, *")], &[]).unwrap();
    assert_eq!(config.allow_origin, [exact("http://x:8080"), AllowedOrigin::Any]);
    let config = load("", &[], &[("allow_origin", "null"), ("allow_origin", "http://x")]).unwrap();
    assert_eq!(config.allow_origin, [AllowedOrigin::Null, exact("http://x")]);
}

#[test]
fn rules_for_channels_add_up() {
    let file = "[[channels]]\npattern = \"job:*\"\ndrop = [\"env\"]\n[[channels]]\npattern = \"*\"\ndrop = [\"pw\"]\n";
    let config = load(file, &[], &[]).unwrap();
    assert_eq!(config.drop_keys("job:1"), ["env", "pw"]);
    assert_eq!(config.drop_keys("x"), ["pw"]);
}

#[test]
fn errors_name_place_setting_value_and_rule() {
    let cases = [
        ("lsten = \"x\"", "file tally.toml: lsten is no setting; did you mean listen?"),
        (
            "listen = \"localhost\"",
            "file tally.toml: listen = \"localhost\" must be an IP address with a port",
        ),
        ("shards = 1000", "file tally.toml: shards = 1000 must be from 0 to 127"),
        ("name = \"a b\"", "name = \"a b\" must be at most 64 of"),
        ("shards = -1", "shards = \"-1\" must be a whole number"),
        ("shards = 1.5", "shards = 1.5 must be a text, a whole number"),
        ("drain_ms = \"soon\"", "drain_ms = \"soon\" must be a whole number"),
        ("allow_origin = [\"example.org\"]", "allow_origin = \"example.org\" must be an origin such as"),
        ("allow_origin = [\"https://example.org/path\"]", "must be an origin such as"),
        ("allow_origin = [1]", "allow_origin: 1 must be a text"),
        ("publish_key = \"secret\"", "publish_key (not shown) must be 16 or more"),
        ("[gateway]\nlisten = \"x\"", "gateway is no setting"),
        ("[[channels]]\npattern = \"a b\"", "channels.pattern = \"a b\" must be"),
        ("[[channels]]\npattern = \"a\"\nkeep = []", "channels.keep is no setting"),
        ("[[channels]]\ndrop = []", "channels.pattern must be a text"),
        ("listen = ", "file tally.toml: is not TOML"),
        ("[redis]\nurl = \"http://secret@h\"", "redis: the Redis URL must start with redis://"),
        ("[redis]\nurl = \"redis://secret@h:x\"", "redis: the Redis URL is not valid"),
        ("[redis]\nurls = \"x\"", "redis.urls is no setting"),
        ("[redis]\npassword = [\"secret\"]", "redis.password must be a text"),
        ("[redis]\nuser = \"me\"", "redis are given without its url"),
        ("[redis]\npassword_file = \"/none\"", "redis.password_file = \"/none\" cannot be read"),
        ("[redis]\nurl = \"redis://h\"\nconnect_ms = 1", "redis.connect_ms = 1 must be from 50 to 60000"),
        ("[redis]\nurl = \"redis://h\"\nprefix = \"a b\"", "the Redis prefix \"a b\" must be"),
        ("heartbeat_ms = 45000", "silent_ms = 45000 must be above heartbeat_ms = 45000"),
        ("listen = \"127.0.0.1:8421\"", "listen and admin are both 127.0.0.1:8421"),
    ];
    for (file, wanted) in cases {
        let error = load(file, &[], &[]).unwrap_err().to_string();
        assert!(error.contains(wanted), "{file}: {error}");
        assert!(!error.contains("secret"), "{error}");
    }
    let error = load("", &[("TALLY_SHARDS", "many")], &[("drain_ms", "-")]).unwrap_err();
    let lines: Vec<_> = error.0.iter().map(|error| error.place.as_str()).collect();
    assert_eq!(lines, ["environment TALLY_SHARDS", "flag --drain-ms"]);
}

#[test]
fn redis_comes_from_everywhere_and_its_credentials_show_nowhere() {
    let dir = std::env::temp_dir().join(format!("tally-config-{}", std::process::id()));
    std::fs::write(&dir, "secret, of  the file\n").unwrap();
    let file = format!(
        "[redis]\nurl = \"redis://me:secret@h/3\"\nprefix = \"a\"\nsilence_ms = 700\npassword_file = {dir:?}\n"
    );
    let config = load(&file, &[("TALLY_REDIS_PREFIX", "b")], &[("redis_user", "you")]).unwrap();
    std::fs::remove_file(&dir).unwrap();
    assert_eq!(config.backplane(), "redis (redis://h:6379, prefix b)");
    let shown = format!("{config:?} {:?}", config.redis);
    assert!(!shown.contains("secret"), "{shown}");
    let link = format!("{:?}", config.redis.as_ref().unwrap().link().unwrap());
    assert!(link.contains("you") && link.contains("700ms") && !link.contains("secret"), "{link}");

    let other = load("", &[("TALLY_REDIS", "rediss://:p,  ,w@h:1")], &[]).unwrap();
    assert_eq!(other.backplane(), "redis (rediss://h:1, prefix tally)");
    let none = load(&file.replace("password_file", "#"), &[("TALLY_REDIS", "")], &[]).unwrap_err();
    assert!(none.to_string().contains("without its url"), "{none}");
    assert_eq!(load("", &[], &[]).unwrap().backplane(), "embedded (in memory, this process only)");
}

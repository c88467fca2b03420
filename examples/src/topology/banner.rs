use std::{fmt::Write as _, net::IpAddr};

use crate::{
    config::{Database, Settings},
    ready_file::Ready,
};

/// What somebody who started this for the first time wants to know next.
pub(super) fn text(settings: &Settings, ready: &Ready) -> String {
    let gate = &ready.gate;
    let mut text = format!("\nUsChat is ready. Stop it with Ctrl-C.\n\n  gate      {gate}\n");
    for chat in &ready.chats {
        line(&mut text, "chat", &format!("{} for clients, {} for peers ({})", chat.tcp, chat.grpc, chat.name));
    }
    let told = settings.chats.first().map(|chat| chat.advertise.as_str()).unwrap_or_default();
    let everywhere = settings.gate.listen.value.ip().is_unspecified();
    if everywhere && told.parse::<IpAddr>().is_ok_and(|host| host.is_loopback()) {
        line(&mut text, "", &format!("clients are told {told}, which only this machine reaches: say --advertise HOST"));
    }
    line(&mut text, "status", &ready.status);
    line(&mut text, "verify", &ready.verify);
    line(&mut text, "metrics", &ready.metrics);
    if let Some(smtp) = &settings.backends.smtp {
        line(&mut text, "mail", &format!("sent through {}", smtp.value.place()));
    } else if settings.gate.outbox {
        line(&mut text, "mail", &format!("not sent; read the newest code at {gate}/dev/outbox?email=ADDRESS"));
    } else {
        line(
            &mut text,
            "mail",
            "not sent, and nobody can read the codes: --dev would let everybody who reaches the gate",
        );
    }
    match &settings.backends.database.value {
        Database::DataDir(directory) => {
            let directory = directory.display();
            line(&mut text, "data", &format!("{directory}; to begin anew, stop and remove it: rm -r {directory}"));
        }
        Database::Sqlite(path) => {
            let path = path.display();
            line(
                &mut text,
                "data",
                &format!("{path}; to begin anew, stop and remove it: rm -f {path} {path}-wal {path}-shm"),
            );
        }
        Database::Mysql(url) => line(&mut text, "data", &format!("in MySQL or MariaDB at {}", url.place())),
        Database::Memory => line(&mut text, "data", "in memory, gone when this ends"),
    }
    if let Some(redis) = &settings.backends.redis {
        line(&mut text, "state", &format!("in Redis at {}", redis.value.place()));
    }
    let _ = write!(text, "\nChat from two more terminals:\n\n  cargo run --release --bin client -- --gate {gate}\n\n");
    text
}

fn line(text: &mut String, what: &str, value: &str) {
    // Writing to a String does not fail.
    let _ = writeln!(text, "  {what:<9} {value}");
}

#[cfg(test)]
mod tests {
    use super::{Ready, Settings, text};
    use crate::config::Options;

    fn ready() -> Ready {
        Ready {
            gate: "http://127.0.0.1:8080".into(),
            status: "127.0.0.1:50052".into(),
            verify: "127.0.0.1:50051".into(),
            chats: Vec::new(),
            metrics: "http://127.0.0.1:9464/metrics".into(),
        }
    }

    #[test]
    fn tells_where_the_data_lie_and_how_to_read_mail() {
        let shown = text(&Settings::try_from(Options::default()).unwrap(), &ready());
        assert!(shown.contains("rm -r ./uschat-data\n"), "{shown}");
        assert!(shown.contains("http://127.0.0.1:8080/dev/outbox?email="), "{shown}");
        assert!(shown.contains("--bin client -- --gate http://127.0.0.1:8080"), "{shown}");
    }

    #[test]
    fn does_not_promise_an_outbox_that_is_not_served() {
        let bind = Some("0.0.0.0".parse().unwrap());
        let shown = text(&Settings::try_from(Options { bind, ..Options::default() }).unwrap(), &ready());
        assert!(!shown.contains("/dev/outbox"), "{shown}");
        assert!(shown.contains("clients are told 127.0.0.1, which only this machine reaches"), "{shown}");
    }
}

//! Mails through a real SMTP server: what arrives, what is encrypted, and what its failures cost.

mod real_server {
    use std::{path::PathBuf, sync::Arc, time::Duration};

    use serde_json::Value;
    use tokio::{net::TcpListener, task::JoinSet};
    use uschat_server::verify::{Mailer, SmtpError, SmtpMailer, SmtpOptions};

    use crate::smtp::SmtpServer;

    const EMAIL: &str = "ada@example.net";
    const CODE: &str = "abc234";
    const PASSWORD: &str = "p@ss:w/rd";

    fn url(server: &SmtpServer, rest: &str) -> String {
        format!("smtp://127.0.0.1:{}?from=codes@example.org{rest}", server.port())
    }

    /// Deadlines that a busy machine keeps, for what is not about them.
    fn patient() -> SmtpOptions {
        let long = Duration::from_secs(15);
        SmtpOptions { connect: long, command: long, send: long, ..SmtpOptions::default() }
    }

    fn mailer(url: &str) -> SmtpMailer {
        SmtpMailer::new(url, patient()).unwrap()
    }

    async fn mail(server: &mut SmtpServer) -> Value {
        serde_json::from_str(&server.next("mail").await).unwrap()
    }

    /// A certificate for 127.0.0.1 in files.
    struct Certificate {
        _folder: tempfile::TempDir,
        cert: PathBuf,
        key: PathBuf,
    }

    impl Certificate {
        fn new(name: &str) -> Self {
            let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
            let folder = tempfile::tempdir().unwrap();
            let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
            std::fs::write(&cert, made.cert.pem()).unwrap();
            std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
            Self { _folder: folder, cert, key }
        }

        fn cert(&self) -> &str {
            self.cert.to_str().unwrap()
        }

        async fn serve(&self, tls: &str, more: &[&str]) -> SmtpServer {
            let files = ["--tls", tls, "--cert", self.cert(), "--key", self.key.to_str().unwrap()];
            SmtpServer::start(&[&files[..], more].concat()).await
        }
    }

    #[tokio::test]
    async fn the_mail_says_in_two_languages_what_it_must() {
        let mut server = SmtpServer::start(&[]).await;
        let options = SmtpOptions { code_lifetime: Duration::from_secs(900), ..patient() };
        let mailer = SmtpMailer::new(&url(&server, "&name=Tom%20%26%20J%C3%A9rry"), options).unwrap();
        mailer.send_code(EMAIL, CODE).await.unwrap();
        let mail = mail(&mut server).await;
        assert_eq!((&mail["sender"], &mail["recipients"]), (&"codes@example.org".into(), &serde_json::json!([EMAIL])));
        assert_eq!(mail["defects"], serde_json::json!([]));
        assert_eq!(mail["ascii"], true, "no server needs to know 8BITMIME");
        assert!(mail["longest_line"].as_u64().unwrap() <= 78, "{}", mail["longest_line"]);

        let header = |name: &str| mail["headers"][name].as_str().unwrap_or_else(|| panic!("{name} in {mail}"));
        assert!(header("from").ends_with("<codes@example.org>") && header("from").contains("Tom & Jérry"), "{mail}");
        assert_eq!(header("to"), EMAIL);
        assert_eq!(header("subject"), "Tom & Jérry 验证码 / verification code");
        assert_eq!(header("auto-submitted"), "auto-generated");
        assert_eq!(header("mime-version"), "1.0");
        assert!(header("message-id").starts_with('<') && header("message-id").ends_with("@example.org>"));
        assert!(header("date").ends_with("+0000") || header("date").ends_with("-0000"), "{}", header("date"));

        assert_eq!(mail["type"], "multipart/alternative");
        let parts = mail["parts"].as_array().unwrap();
        let types: Vec<_> = parts.iter().map(|part| (part["type"].as_str(), part["charset"].as_str())).collect();
        assert_eq!(types, [(Some("text/plain"), Some("utf-8")), (Some("text/html"), Some("utf-8"))]);
        for (part, name) in parts.iter().zip(["Tom & Jérry", "Tom &amp; Jérry"]) {
            let text = part["text"].as_str().unwrap();
            let needed =
                [CODE, name, "验证码是", "15 分钟", "请忽略", "verification code is", "15 minutes", "ignore this mail"];
            for needed in needed {
                assert!(text.contains(needed), "{needed:?} in {text}");
            }
        }
    }

    #[tokio::test]
    async fn an_address_beyond_ascii_is_mailed_to() {
        let mut server = SmtpServer::start(&[]).await;
        mailer(&url(&server, "")).send_code("ädä@例え.example", CODE).await.unwrap();
        let mail = mail(&mut server).await;
        assert_eq!(mail["recipients"], serde_json::json!(["ädä@例え.example"]));
        let options = mail["options"].as_array().unwrap();
        assert!(options.contains(&"SMTPUTF8".into()), "{options:?}");
    }

    #[tokio::test]
    async fn what_is_no_address_is_refused_unsent() {
        let server = SmtpServer::start(&[]).await;
        let mailer = mailer(&url(&server, ""));
        for email in ["", "ada", "a@b\r\nRCPT TO:<eve@example.org>", "a b@c"] {
            assert!(!mailer.send_code(email, CODE).await.unwrap_err().is_in_doubt(), "{email:?}");
        }
        assert!(!server.stop().await.iter().any(|event| event.contains("connected")));
    }

    #[tokio::test]
    async fn encrypts_and_authenticates() {
        let certificate = Certificate::new("127.0.0.1");
        let login = ["--user", "codes", "--password", PASSWORD];
        for (scheme, tls, mode) in
            [("smtps", "implicit", ""), ("smtp", "starttls", ""), ("smtp", "starttls", "&tls=required")]
        {
            let mut server = certificate.serve(tls, &login).await;
            let port = server.port();
            let (user, ca) = ("codes:p%40ss%3Aw%2Frd", certificate.cert());
            let mailer = mailer(&format!("{scheme}://{user}@127.0.0.1:{port}?from=codes@example.org&ca={ca}{mode}"));
            mailer.check().await.unwrap();
            mailer.send_code(EMAIL, CODE).await.unwrap();
            let mail = mail(&mut server).await;
            assert_eq!((&mail["encrypted"], &mail["user"]), (&true.into(), &"codes".into()), "{scheme} {tls} {mode}");
        }
    }

    #[tokio::test]
    async fn certificates_are_verified() {
        let (ours, other, elsewhere) =
            (Certificate::new("127.0.0.1"), Certificate::new("127.0.0.1"), Certificate::new("mail.test"));
        for (tls, scheme) in [("starttls", "smtp"), ("implicit", "smtps")] {
            for (certificate, ca) in [(&ours, other.cert()), (&elsewhere, elsewhere.cert()), (&ours, "")] {
                let server = certificate.serve(tls, &[]).await;
                let ca = if ca.is_empty() { String::new() } else { format!("&ca={ca}") };
                let url = format!("{scheme}://127.0.0.1:{}?from=codes@example.org{ca}", server.port());
                let error = mailer(&url).check().await.unwrap_err();
                assert!(matches!(error, SmtpError::Tls(_)), "{tls} {ca}: {error}");
            }
        }
    }

    #[tokio::test]
    async fn what_must_be_encrypted_is_not_sent_plain() {
        let server = SmtpServer::start(&[]).await;
        let error = mailer(&url(&server, "&tls=required")).check().await.unwrap_err();
        assert!(matches!(error, SmtpError::Tls(_)), "{error}");
        let error = mailer(&url(&server, "").replace("smtp:", "smtps:")).check().await.unwrap_err();
        assert!(matches!(error, SmtpError::Tls(_)), "{error}");
        mailer(&url(&server, "&tls=none")).check().await.unwrap();
    }

    #[tokio::test]
    async fn a_refused_password_is_said_without_showing_it() {
        let echo = format!("auth=535 no {PASSWORD}");
        for more in [&["--reject", &echo][..], &[]] {
            let login = ["--user", "codes", "--password", "another"];
            let server = SmtpServer::start(&[&login[..], more].concat()).await;
            let url = format!("smtp://codes:p%40ss%3Aw%2Frd@127.0.0.1:{}?from=codes@example.org", server.port());
            let error = mailer(&url).check().await.unwrap_err();
            assert!(matches!(&error, SmtpError::AuthenticationRefused(status) if status == "535"), "{error}");
            assert!(!format!("{error} {error:?}").contains(PASSWORD));
            let error = mailer(&url).send_code(EMAIL, CODE).await.unwrap_err();
            assert!(!error.is_in_doubt() && !format!("{error} {error:?}").contains(PASSWORD));
        }
        let server = SmtpServer::start(&["--reject", "ehlo=250 mail.test"]).await;
        let url = url(&server, "").replace("127.0.0.1", "u:p@127.0.0.1");
        let error = mailer(&url).check().await.unwrap_err();
        assert!(matches!(&error, SmtpError::AuthenticationRefused(what) if what.contains("PLAIN")), "{error}");
    }

    #[tokio::test]
    async fn every_refusal_has_its_name_and_none_is_in_doubt() {
        for (stage, expected) in [
            ("greeting=554 go away", "cannot be reached (554 go away)"),
            ("mail=550 5.7.1 not you", "refused the sender (550 5.7.1 not you)"),
            ("rcpt=550 5.1.1 nobody here", "refused the recipient (550 5.1.1 nobody here)"),
            ("rcpt=451 greylisted", "refused the recipient (451 greylisted)"),
            ("rcpt=421 closing", "cannot be reached (421 closing)"),
            ("message=554 spam", "refused the mail (554 spam)"),
            ("message=451 later", "refused the mail (451 later)"),
            ("message=554 what is AbC234?", "refused the mail (554)"),
        ] {
            let server = SmtpServer::start(&["--reject", stage]).await;
            let error = mailer(&url(&server, "")).send_code(EMAIL, CODE).await.unwrap_err();
            let text = error.to_string();
            assert!(text.starts_with("the mail was not accepted: ") && text.contains(expected), "{stage}: {text}");
            assert!(!error.is_in_doubt(), "{stage}");
        }
        let server = SmtpServer::start(&["--reject", "mail=550 not you"]).await;
        let error = mailer(&url(&server, "")).check().await.unwrap_err();
        assert!(matches!(error, SmtpError::SenderRefused(_)), "{error}");
    }

    #[tokio::test]
    async fn only_a_mail_that_was_handed_over_can_be_in_doubt() {
        let mut cases = JoinSet::new();
        for (fault, stage, in_doubt) in [
            ("--hang", "greeting", false),
            ("--hang", "ehlo", false),
            ("--hang", "mail", false),
            ("--hang", "rcpt", false),
            ("--hang", "message", true),
            ("--drop", "greeting", false),
            ("--drop", "rcpt", false),
            ("--drop", "message", true),
        ] {
            cases.spawn(async move {
                let server = SmtpServer::start(&[fault, stage]).await;
                let brief = Duration::from_secs(1);
                let options = SmtpOptions { connect: 2 * brief, command: brief, ..patient() };
                let mailer = SmtpMailer::new(&url(&server, ""), options).unwrap();
                let error = mailer.send_code(EMAIL, CODE).await.unwrap_err();
                assert_eq!(error.is_in_doubt(), in_doubt, "{fault} {stage}: {error}");
                assert!(!error.to_string().contains(CODE));
                let connected = server.stop().await.iter().filter(|event| event.contains("\"connected\"")).count();
                assert_eq!(connected, 1, "{fault} {stage}: no second try");
            });
        }
        cases.join_all().await;
    }

    #[tokio::test]
    async fn the_whole_has_a_deadline_too() {
        let server = SmtpServer::start(&["--hang", "rcpt"]).await;
        let options = SmtpOptions { send: Duration::from_secs(1), ..patient() };
        let mailer = SmtpMailer::new(&url(&server, ""), options).unwrap();
        let sending = tokio::time::timeout(Duration::from_secs(5), mailer.send_code(EMAIL, CODE));
        let error = sending.await.unwrap().unwrap_err();
        assert!(!error.is_in_doubt() && error.to_string().contains("RCPT"), "{error}");
    }

    #[tokio::test]
    async fn a_server_that_is_down_is_unreachable() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("smtp://127.0.0.1:{}?from=a@b.c", listener.local_addr().unwrap().port());
        drop(listener);
        let error = mailer(&url).check().await.unwrap_err();
        assert!(matches!(&error, SmtpError::Unreachable(what) if what.contains("refused")), "{error}");
        let error = mailer("smtp://nobody.invalid?from=a@b.c").check().await.unwrap_err();
        assert!(matches!(&error, SmtpError::Unreachable(_)), "{error}");
    }

    #[tokio::test]
    async fn mails_share_a_connection() {
        let mut server = SmtpServer::start(&[]).await;
        let mailer = mailer(&url(&server, ""));
        for _ in 0..3 {
            mailer.send_code(EMAIL, CODE).await.unwrap();
            assert_eq!(mail(&mut server).await["connection"], 1);
        }
    }

    #[tokio::test]
    async fn a_connection_that_the_server_closed_costs_no_mail() {
        let closed_by_server = async |more: &[&str]| {
            let mut server = SmtpServer::start(&[&["--idle", "1"], more].concat()).await;
            let mailer = mailer(&url(&server, ""));
            for connection in 1..=2 {
                mailer.send_code(EMAIL, CODE).await.unwrap();
                assert_eq!(mail(&mut server).await["connection"], connection);
                server.next("closed").await;
            }
        };
        tokio::join!(closed_by_server(&[]), closed_by_server(&["--goodbye"]));
    }

    #[tokio::test]
    async fn idle_connections_are_given_up() {
        let mut server = SmtpServer::start(&[]).await;
        let options = SmtpOptions { idle: Duration::from_millis(50), ..patient() };
        let mailer = SmtpMailer::new(&url(&server, ""), options).unwrap();
        for connection in 1..=2 {
            mailer.send_code(EMAIL, CODE).await.unwrap();
            assert_eq!(mail(&mut server).await["connection"], connection);
            server.next("closed").await;
        }
    }

    #[tokio::test]
    async fn connections_are_bounded_and_nobody_is_left_out() {
        let server = SmtpServer::start(&[]).await;
        let options = SmtpOptions { max_connections: 3, ..patient() };
        let mailer = Arc::new(SmtpMailer::new(&url(&server, ""), options).unwrap());
        let mut sending = JoinSet::new();
        for number in 0..30 {
            let mailer = mailer.clone();
            sending.spawn(async move { mailer.send_code(&format!("{number}@example.net"), CODE).await });
        }
        assert!(sending.join_all().await.iter().all(Result::is_ok));
        let events = server.stop().await;
        assert_eq!(events.iter().filter(|event| event.contains("\"mail\"")).count(), 30);
        assert_eq!(events.iter().filter(|event| event.contains("\"connected\"")).count(), 3);
    }

    #[tokio::test]
    async fn a_mail_that_is_given_up_takes_its_connection_along() {
        let mut server = SmtpServer::start(&["--hang", "message"]).await;
        let mailer = Arc::new(mailer(&url(&server, "")));
        let sending = tokio::spawn({
            let mailer = mailer.clone();
            async move { mailer.send_code(EMAIL, CODE).await }
        });
        server.next("hanging").await;
        sending.abort();
        assert!(sending.await.unwrap_err().is_cancelled());
        server.next("closed").await;
        // It would wait for ever on the old one.
        mailer.check().await.unwrap();
    }
}

//! The verification service with a real mail server behind it: what a client is told, what is counted, what is logged. Alone
//! in its program: what is told where is decided for all threads of one.
#![cfg(feature = "smtp")]
#![allow(clippy::unwrap_used, reason = "tests only")]

#[path = "real_servers/smtp.rs"]
mod smtp;

mod real_server {
    use std::{
        io::Write,
        sync::{Arc, Mutex},
        time::Duration,
    };

    use tokio::net::TcpListener;
    use tokio_util::sync::CancellationToken;
    use tracing_subscriber::fmt::MakeWriter;
    use uschat_proto::grpc::s1::{GetVarifyReq, varify_service_client::VarifyServiceClient};
    use uschat_server::{
        store::{
            memory::MemoryState,
            state::{Codes, Limits},
        },
        verify::{SmtpMailer, SmtpOptions, Verify, VerifyConfig},
    };

    use super::smtp::SmtpServer;

    const EMAIL: &str = "ada@example.net";
    const PASSWORD: &str = "s3same-open";

    /// Everything that was logged, of every library and at every level.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Log {
        type Writer = Self;
        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    impl Log {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    /// Asks once for a code by way of gRPC: the error, how many mails were counted, and the code that waits.
    async fn ask(url: &str) -> (i32, u32, String) {
        let brief = Duration::from_secs(1);
        let options = SmtpOptions { connect: brief, command: brief, ..SmtpOptions::default() };
        let mailer = Arc::new(SmtpMailer::new(url, options).unwrap());
        let state = Arc::new(MemoryState::new());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let verify = Verify::new(VerifyConfig::default(), state.clone(), mailer);
        let serving = tokio::spawn(verify.serve(listener, shutdown.clone()));

        let mut client = VarifyServiceClient::connect(format!("http://{address}")).await.unwrap();
        let reply = client.get_varify_code(GetVarifyReq { email: EMAIL.into() }).await.unwrap().into_inner();
        let counted = state.counted(&format!("mails:{EMAIL}")).await.unwrap();
        let code = state.code_or_insert(EMAIL, "unused", Duration::from_secs(60)).await.unwrap();
        drop(client);
        shutdown.cancel();
        serving.await.unwrap().unwrap();
        (reply.error, counted, code)
    }

    #[tokio::test]
    async fn failures_are_error_2_and_one_line_and_codes_are_not_logged() {
        let log = Log::default();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
            .with_ansi(false)
            .with_writer(log.clone())
            .finish();
        let _guard = tracing::subscriber::set_default(subscriber);
        let warnings =
            || log.text().lines().filter(|line| line.contains(" WARN ")).map(str::to_owned).collect::<Vec<_>>();

        let login = ["--user", "codes", "--password", PASSWORD];
        let url = |port: u16| format!("smtp://codes:{PASSWORD}@127.0.0.1:{port}?from=codes@example.org");
        let mut server = SmtpServer::start(&login).await;
        let (error, counted, code) = ask(&url(server.port())).await;
        assert_eq!((error, counted), (0, 1));
        assert!(server.next("mail").await.contains(&code));
        assert_eq!(warnings(), [""; 0]);
        let (port, mut codes) = (server.port(), vec![code]);
        drop(server);

        let cases: [(&[&str], u32, &str); 6] = [
            (&[], 0, "cannot be reached"),
            (&["--reject", "rcpt=550 nobody here"], 0, "550 nobody here"),
            (&["--reject", "auth=535 no"], 0, "refused to authenticate (535)"),
            (&["--hang", "greeting"], 0, "cannot be reached"),
            (&["--hang", "message"], 1, "did not confirm the mail"),
            (&["--drop", "message"], 1, "did not confirm the mail"),
        ];
        for (arguments, expected_count, expected_text) in cases {
            let before = warnings().len();
            let server = if arguments.is_empty() {
                None
            } else {
                Some(SmtpServer::start(&[&login[..], arguments].concat()).await)
            };
            let (error, counted, code) = ask(&url(server.as_ref().map_or(port, SmtpServer::port))).await;
            assert_eq!((error, counted), (2, expected_count), "{arguments:?}");
            let new = warnings().split_off(before);
            assert_eq!(new.len(), 1, "{arguments:?}: {new:?}");
            assert!(new[0].contains("a code could not be mailed") && new[0].contains(expected_text), "{}", new[0]);
            codes.push(code);
        }
        let log = log.text();
        assert!(log.contains("TRACE") || log.contains("DEBUG"), "other libraries' lines were captured");
        let base64_of_the_login = "AGNvZGVzAHMzc2FtZS1vcGVu";
        for secret in codes.iter().map(String::as_str).chain([PASSWORD, base64_of_the_login]) {
            assert!(!log.contains(secret), "a secret was logged");
        }
    }
}

//! Carries commands out.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tokio::task::JoinHandle;
use uschat_client::{Chat, Cursors, Gate, Messenger, MessengerConfig, PasswordReset, Profile, Registration};

use super::command::{Command, HELP};
use super::contacts::Contacts;
use super::failure::Failure;
use super::incoming::{Seen, print_incoming};
use super::print::{Printer, escape};

/// The picture of everybody who registers here; the Qt clients have it built in.
const ICON: &str = ":/res/head_1.jpg";
const OUTBOX_DEADLINE: Duration = Duration::from_secs(10);
/// Somebody waits for it; a server that restarts is back in less.
const SAY_DEADLINE: Duration = Duration::from_secs(30);

pub(crate) struct Client {
    gate: Gate,
    gate_url: String,
    printer: Printer,
    contacts: Arc<Contacts>,
    seen: Arc<Seen>,
    session: Option<(Messenger, JoinHandle<()>)>,
}

impl Client {
    pub(crate) fn new(gate: Gate, gate_url: &str, printer: Printer) -> Self {
        let gate_url = gate_url.trim_end_matches('/').into();
        Self { gate, gate_url, printer, contacts: Arc::default(), seen: Arc::new(Seen::new()), session: None }
    }

    /// Carries `command` out and prints its answer; the caller prints a failure.
    pub(crate) async fn carry_out(&mut self, command: Command) -> Result<(), Failure> {
        match command {
            Command::Help => self.say_line(HELP),
            Command::SignUp { name, email, password } => {
                self.gate.send_code(&email).await?;
                let code = self.newest_code(&email).await?;
                self.register(name, email, password, code, "signup").await?;
            }
            Command::Code { email } => {
                self.gate.send_code(&email).await?;
                self.say_line(&format!("ok code mailed to {}", escape(&email)));
            }
            Command::DevCode { email } => {
                let code = self.newest_code(&email).await?;
                self.say_line(&format!("ok dev-code {}", escape(&code)));
            }
            Command::Register { name, email, password, code } => {
                self.register(name, email, password, code, "register").await?;
            }
            Command::Reset { name, email, password: new_password, code } => {
                self.gate.reset_password(PasswordReset { name, email, new_password, code }).await?;
                self.say_line("ok reset");
            }
            Command::LogIn { email, password } => self.log_in(&email, &password).await?,
            Command::Search { wanted } => {
                let line = match self.chat()?.search(&wanted).await? {
                    Some(profile) => format!("ok search {}", self.met(&profile)),
                    None => "ok search nobody".into(),
                };
                self.say_line(&line);
            }
            Command::Add { uid, introduction } => {
                self.chat()?.add_friend(uid, &introduction, "").await?;
                self.say_line(&format!("ok add {uid}"));
            }
            Command::Approve { uid, remark } => {
                let friend = self.chat()?.approve_friend(uid, &remark).await?;
                self.contacts.befriend(&friend.profile, &remark);
                self.say_line(&format!("ok approve {}", self.contacts.name(uid)));
            }
            Command::Friends => {
                self.messenger()?;
                self.list("friend", &self.contacts.friends());
            }
            Command::Applications => {
                self.messenger()?;
                self.list("application", &self.contacts.applications());
            }
            Command::Say { uid, text } => {
                let sent = self.messenger()?.send_text(uid, &text).await?;
                let (number, key, thread) = (sent.seq, sent.message_id, sent.thread_id);
                self.say_line(&format!("ok say {uid} #{number} (message {key}, conversation {thread})"));
            }
            Command::Wait { event, at_most } => {
                if !self.seen.take(event, at_most).await {
                    return Err(Failure::new("timeout", format!("no `{event}` came within {at_most:?}")));
                }
                self.say_line(&format!("ok wait {event}"));
            }
            Command::Quit => {} // the caller ends
        }
        Ok(())
    }

    /// Ends the session, if there is one, after its answers and events were printed.
    pub(crate) async fn log_out(&mut self) {
        if let Some((messenger, printing)) = self.session.take() {
            messenger.close().await;
            // It ends with the session; an error would be its panic, which has been reported.
            let _ = printing.await;
        }
    }

    async fn log_in(&mut self, email: &str, password: &str) -> Result<(), Failure> {
        if self.session.is_some() {
            // Who is refused keeps the session there is; who is not shall not replace it.
            self.gate.log_in(email, password).await?;
            self.log_out().await;
        }
        let mut config = MessengerConfig::default();
        config.chat.client = concat!("uschat-line-client/", env!("CARGO_PKG_VERSION")).into();
        config.send_deadline = Some(SAY_DEADLINE);
        // It keeps nothing, so it is shown what was not delivered to anybody yet.
        let start = Messenger::start(self.gate.clone(), email, password, config, Cursors::default());
        let (messenger, inbox) = start.await?;
        match messenger.chat() {
            Some(chat) => self.contacts.reset(&chat),
            None => return Err(Failure::not_connected()),
        }
        let (friends, applications) = (self.contacts.friends().len(), self.contacts.applications().len());
        let me = self.met(&messenger.profile());
        self.say_line(&format!("ok login {me} (friends {friends}, applications {applications})"));
        // After the answer, so that the events of a session follow its login.
        let printing = tokio::spawn(print_incoming(
            messenger.clone(),
            inbox,
            self.printer.clone(),
            Arc::clone(&self.contacts),
            Arc::clone(&self.seen),
        ));
        self.session = Some((messenger, printing));
        Ok(())
    }

    async fn register(
        &self,
        name: String,
        email: String,
        password: String,
        code: String,
        command: &str,
    ) -> Result<(), Failure> {
        let shown = escape(&name);
        let uid = self.gate.register(Registration { name, email, password, code, icon: ICON.into() }).await?;
        self.say_line(&format!("ok {command} {uid} {shown}"));
        Ok(())
    }

    /// Reads the newest code from the gate's outbox (PROTOCOL.md, "The gate"), which is there only without a mail server.
    async fn newest_code(&self, email: &str) -> Result<String, Failure> {
        #[derive(Deserialize)]
        struct Mail {
            code: String,
        }
        let failed = |text: &str| Failure::new("outbox", text);
        let url = reqwest::Url::parse_with_params(&format!("{}/dev/outbox", self.gate_url), [("email", email)])
            .map_err(|_| failed("--gate is no address"))?;
        let http = reqwest::Client::builder().no_proxy().timeout(OUTBOX_DEADLINE).build();
        let http = http.map_err(|_| failed("no HTTP client could be started"))?;
        let response = http.get(url).send().await.map_err(|_| failed("the gate cannot be reached: is it running?"))?;
        if !response.status().is_success() {
            return Err(failed("this gate has no outbox, or no mail for this address: read the code in your mail"));
        }
        let mail: Mail = response.json().await.map_err(|_| failed("the outbox has no mail for this address"))?;
        Ok(mail.code)
    }

    /// One line per entry, then how many there were.
    fn list(&self, entry: &str, entries: &[String]) {
        for line in entries {
            self.say_line(&format!("{entry} {line}"));
        }
        self.say_line(&format!("ok {entry}s {}", entries.len()));
    }

    fn messenger(&self) -> Result<&Messenger, Failure> {
        self.session.as_ref().map(|(messenger, _)| messenger).ok_or_else(Failure::not_logged_in)
    }

    fn chat(&self) -> Result<Chat, Failure> {
        self.messenger()?.chat().ok_or_else(Failure::not_connected)
    }

    /// Remembers the name, and shows it.
    fn met(&self, profile: &Profile) -> String {
        self.contacts.met(profile);
        self.contacts.name(profile.uid)
    }

    fn say_line(&self, text: &str) {
        self.printer.line(text);
    }
}

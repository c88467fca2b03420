//! Accounts of the generator, and who talks to whom.

use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;
use serde_json::json;
use uschat_client::{Gate, GateError, Registration, Ticket};
use uschat_proto::{ErrorCode, MessageId};

use super::{
    error::LoadError,
    options::Placement,
    progress::Progress,
    session::{Ended, Session},
    target::Target,
};

/// Requests to the gate at a time: each keeps a core busy with a password.
const AT_THE_GATE: usize = 4;
/// Logins at chat servers at a time.
const AT_THE_CHATS: usize = 32;
const OUTBOX_DEADLINE: Duration = Duration::from_secs(10);

/// Two friends, and where they log in.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) sender: Member,
    pub(super) receiver: Member,
}

#[derive(Debug)]
pub(super) struct Member {
    pub(super) ticket: Ticket,
    address: String,
}

impl Member {
    pub(super) async fn log_in(&self) -> Result<Session, Ended> {
        Session::log_in(&self.address, &self.ticket).await
    }
}

/// Logs these users in at the gate, and makes those that are not there yet.
pub(super) async fn enter(target: &Target, names: &[String], progress: &Progress) -> Result<Vec<Ticket>, LoadError> {
    let http = reqwest::Client::builder().no_proxy().timeout(OUTBOX_DEADLINE).build();
    let http = http.map_err(|error| LoadError::failed(error.to_string()))?;
    let mut entering = stream::iter(names.iter().map(|name| enter_one(target, &http, name))).buffered(AT_THE_GATE);
    let mut tickets = Vec::with_capacity(names.len());
    while let Some(ticket) = entering.try_next().await? {
        tickets.push(ticket);
        progress.say(&format!("users: {} of {}", tickets.len(), names.len()));
    }
    progress.end();
    Ok(tickets)
}

/// Names of the two users of each pair, one after the other.
pub(super) fn names_of_pairs(pairs: u32, seed: u64) -> Vec<String> {
    (0..2 * u64::from(pairs)).map(|number| format!("load{seed}-{number}")).collect()
}

/// Two tickets for each pair: where they go.
pub(super) fn place(tickets: Vec<Ticket>, target: &Target, placement: Placement) -> Result<Vec<Pair>, LoadError> {
    let mut chats = target.chats.clone();
    for ticket in &tickets {
        let address = address(ticket);
        if !chats.contains(&address) {
            chats.push(address);
        }
    }
    if placement == Placement::Other && chats.len() < 2 {
        let remedy = "start the topology with two or more and, if only --gate is given, give --ready-file";
        return Err(LoadError::option("--placement", "one chat server is known only", remedy));
    }
    let chat = |number: usize| chats[number % chats.len()].clone();
    let mut tickets = tickets.into_iter();
    let twos = std::iter::from_fn(|| Some((tickets.next()?, tickets.next()?)));
    let pair = |(number, (sender, receiver)): (usize, (Ticket, Ticket))| {
        let (from, to) = match placement {
            Placement::Any => (address(&sender), address(&receiver)),
            Placement::Same => (chat(number), chat(number)),
            Placement::Other => (chat(number), chat(number + 1)),
        };
        Pair { sender: Member { ticket: sender, address: from }, receiver: Member { ticket: receiver, address: to } }
    };
    Ok(twos.enumerate().map(pair).collect())
}

/// Logs all pairs in at their chat servers; friends from then on.
pub(super) async fn connect(pairs: &[Pair]) -> Result<Vec<(Session, Session)>, LoadError> {
    let connecting = stream::iter(pairs).map(connect_one).buffered(AT_THE_CHATS);
    connecting.try_collect().await
}

/// Logs in with these tickets where the gate said.
pub(super) async fn connect_each(tickets: &[Ticket], progress: &Progress) -> Result<Vec<Session>, LoadError> {
    let log_in = async |ticket: &Ticket| Session::log_in(&address(ticket), ticket).await.map_err(refused);
    let mut connecting = stream::iter(tickets).map(log_in).buffered(AT_THE_CHATS);
    let mut sessions = Vec::with_capacity(tickets.len());
    while let Some(session) = connecting.try_next().await? {
        sessions.push(session);
        progress.say(&format!("idle sessions: {} of {}", sessions.len(), tickets.len()));
    }
    progress.end();
    Ok(sessions)
}

async fn connect_one(pair: &Pair) -> Result<(Session, Session), LoadError> {
    let connecting = async {
        let (mut sender, mut receiver) = (pair.sender.log_in().await?, pair.receiver.log_in().await?);
        let (from, to) = (pair.sender.ticket.uid, pair.receiver.ticket.uid);
        if !sender.friends.contains(&to) {
            sender.ask(MessageId::ADD_FRIEND_REQUEST, &json!({ "touid": to })).await?;
            receiver.ask(MessageId::APPROVE_FRIEND_REQUEST, &json!({ "touid": from })).await?;
        }
        Ok((sender, receiver))
    };
    connecting.await.map_err(refused)
}

fn refused(ended: Ended) -> LoadError {
    LoadError::failed(format!("a user cannot enter a chat server: {ended}"))
}

fn address(ticket: &Ticket) -> String {
    format!("{}:{}", ticket.chat_host, ticket.chat_port)
}

async fn enter_one(target: &Target, http: &reqwest::Client, name: &str) -> Result<Ticket, LoadError> {
    let (email, password) = (format!("{name}@example.org"), format!("password of {name}"));
    let at_gate = |error: GateError| {
        let remedy = "see that the topology runs and that --ready-file or --gate names it";
        LoadError::option("--gate", format!("{}: {error}", target.gate_url), remedy)
    };
    match target.gate.log_in(&email, &password).await {
        Err(GateError::Refused(ErrorCode::PASSWORD_INVALID)) => {}
        other => return other.map_err(at_gate),
    }
    target.gate.send_code(&email).await.map_err(at_gate)?;
    let code = newest_code(target, http, &email).await?;
    register(&target.gate, name, &email, &password, code).await.map_err(at_gate)?;
    target.gate.log_in(&email, &password).await.map_err(at_gate)
}

async fn register(gate: &Gate, name: &str, email: &str, password: &str, code: String) -> Result<(), GateError> {
    let (name, email, password, icon) = (name.to_owned(), email.to_owned(), password.to_owned(), String::new());
    gate.register(Registration { name, email, password, code, icon }).await.map(drop)
}

/// The code that was mailed into the built-in outbox.
async fn newest_code(target: &Target, http: &reqwest::Client, email: &str) -> Result<String, LoadError> {
    #[derive(Deserialize)]
    struct Mail {
        code: String,
    }
    // No reserved character is in these addresses.
    let request = http.get(format!("{}/dev/outbox?email={email}", target.gate_url)).send();
    let mail: Result<Mail, _> = async { request.await?.error_for_status()?.json().await }.await;
    mail.map(|mail| mail.code).map_err(|error| {
        let problem = format!("no code in the outbox of {}: {}", target.gate_url, error.without_url());
        LoadError::option("--gate", problem, "let the topology use its built-in outbox: no --smtp, on loopback")
    })
}

#[cfg(test)]
mod tests {
    use uschat_proto::chat::UserId;

    use super::*;

    fn target(chats: &[&str]) -> Target {
        Target {
            gate: Gate::new("http://127.0.0.1:1").unwrap(),
            gate_url: String::new(),
            chats: chats.iter().map(|&chat| chat.to_owned()).collect(),
            pids: Vec::new(),
        }
    }

    fn placed(chats: &[&str], placement: Placement) -> Vec<(String, String)> {
        let tickets = (1..=6).map(|uid| Ticket::new(UserId(uid), "", "a", 1)).collect();
        let pairs = place(tickets, &target(chats), placement).unwrap();
        pairs.into_iter().map(|pair| (pair.sender.address, pair.receiver.address)).collect()
    }

    #[test]
    fn pairs_are_where_they_are_wanted() {
        let pairs = |pairs: [(&str, &str); 3]| pairs.map(|(one, other)| (one.to_owned(), other.to_owned())).to_vec();
        assert_eq!(placed(&["a:1", "b:2"], Placement::Any), pairs([("a:1", "a:1"); 3]));
        let same = pairs([("a:1", "a:1"), ("b:2", "b:2"), ("a:1", "a:1")]);
        assert_eq!(placed(&["a:1", "b:2"], Placement::Same), same);
        let other = pairs([("a:1", "b:2"), ("b:2", "a:1"), ("a:1", "b:2")]);
        assert_eq!(placed(&["a:1", "b:2"], Placement::Other), other);
        let alone = vec![Ticket::new(UserId(1), "", "a", 1), Ticket::new(UserId(2), "", "a", 1)];
        assert!(place(alone, &target(&[]), Placement::Other).is_err());
    }

    #[test]
    fn names_depend_on_the_seed_only() {
        assert_eq!(names_of_pairs(1, 7), ["load7-0", "load7-1"]);
    }
}

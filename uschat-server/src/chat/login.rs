//! 1005/1006. PROTOCOL.md, "Log in" and "One live session".

use serde::Serialize;
use uschat_proto::{
    ErrorCode,
    chat::{Application, ChatLoginRequest, ChatLoginResponse, Friend, FriendListPart, Profile, UserId, features},
};

use super::{
    app::{ChatApp, unavailable},
    delivery::replace,
};
use crate::{
    Context, Reply,
    cluster::PeerEvent,
    logic::LogInError,
    secrets::same_secret,
    session::CloseReason,
    store::{
        Account,
        state::{Holder, Taken},
    },
};

/// Applications told at login, and the bytes they may take; further ones come when these are approved.
const APPLICATIONS: usize = 100;
const APPLICATION_BYTES: usize = 24 * 1024;
/// What a 1006 or 3001 may hold in lists, so that it fits one frame with all the rest.
const LIST_BYTES: usize = 56 * 1024;
/// Parts of a friend list that are told, about 4,000 friends: they must fit the outbound queue.
const PARTS: usize = 13;

pub(super) async fn log_in(
    cx: Context<ChatApp>,
    request: ChatLoginRequest,
) -> Result<Reply<ChatLoginResponse>, ErrorCode> {
    if cx.user().is_some() {
        return Err(ErrorCode::ALREADY_LOGGED_IN);
    }
    let uid = request.uid;
    let state = &cx.stores.state;
    let token = state.token(uid).await.map_err(unavailable("reading a token"))?.ok_or(ErrorCode::UID_INVALID)?;
    if !same_secret(&token, &request.token) {
        return Err(ErrorCode::TOKEN_INVALID);
    }
    let account = cx.stores.accounts.by_uid(uid).await.map_err(unavailable("reading an account"))?;
    let account = account.ok_or(ErrorCode::UID_INVALID)?;
    let declared = |feature| request.features.iter().any(|declared| declared == feature);
    cx.state().set_arrays(&request.features);
    if declared(features::COALESCED) {
        cx.session().unpace();
    }
    take_over(&cx, uid).await?;
    match response(&cx, account, token).await {
        Ok(response) => {
            let (syncs, coalesces) = (declared(features::SYNC), declared(features::COALESCED));
            cx.delivery.texts.open(cx.session(), uid, syncs, coalesces);
            Ok(Reply::Now(response))
        }
        Err(code) => {
            // The login was half done; only a new connection can try again.
            cx.session().close(CloseReason::Application("the lists of a login could not be read"));
            Err(code)
        }
    }
}

/// Makes this the one live session of the user: fence, lease, routing, and the end of whatever was before.
async fn take_over(cx: &Context<ChatApp>, uid: UserId) -> Result<(), ErrorCode> {
    cx.progress.before_login(uid, cx.sessions().of(&uid)).await;
    let fence = cx.stores.accounts.next_fence(uid).await.map_err(unavailable("taking a fence"))?;
    cx.state().set_fence(fence);
    let holder = Holder { server: cx.name.clone(), session: cx.session().id().0, fence };
    let taken = cx.stores.state.take_presence(uid, &holder, cx.lease).await;
    let Taken::Granted { previous } = taken.map_err(unavailable("taking a presence lease"))? else {
        // A later login of the same user was faster.
        return Err(ErrorCode::UNAVAILABLE);
    };
    match cx.log_in(uid) {
        Ok(Some(replaced)) => replace(cx.sessions(), &replaced),
        Ok(None) => {}
        Err(LogInError::AlreadyLoggedIn) => return Err(ErrorCode::ALREADY_LOGGED_IN),
        Err(LogInError::Superseded) => return Err(ErrorCode::UNAVAILABLE),
    }
    if let Some(previous) = previous.filter(|previous| previous.server != cx.name) {
        cx.delivery.peers.tell(&previous.server, uid, PeerEvent::Kick { fence }).await;
    }
    Ok(())
}

async fn response(cx: &Context<ChatApp>, account: Account, token: String) -> Result<ChatLoginResponse, ErrorCode> {
    let uid = account.profile.uid;
    let contacts = &cx.stores.contacts;
    let applications =
        contacts.applications_to(uid, APPLICATIONS).await.map_err(unavailable("reading applications"))?;
    let friends = contacts.friends(uid).await.map_err(unavailable("reading friends"))?;
    let mut apply_list: Vec<_> = applications
        .into_iter()
        .map(|application| Application {
            applicant: Profile { desc: application.introduction, ..application.applicant },
            status: application.approved.into(),
        })
        .collect();
    keep_newest(&mut apply_list, APPLICATION_BYTES);
    let friends =
        friends.into_iter().map(|contact| Friend { profile: contact.profile, back: contact.remark }).collect();

    let mut parts = split(friends, LIST_BYTES.saturating_sub(json_len(&apply_list))).into_iter().peekable();
    let friend_list = parts.next().unwrap_or_default();
    let friend_list_cut = parts.peek().is_some();
    for number in 2..=PARTS {
        let Some(friend_list) = parts.next() else { break };
        let friend_list_cut = number == PARTS && parts.peek().is_some();
        let last = friend_list_cut || parts.peek().is_none();
        let part = FriendListPart { error: ErrorCode::SUCCESS, friend_list, last, friend_list_cut };
        // It waits behind the response; if the session is gone already, so is its need.
        let _ = cx.session().push(&part);
    }
    Ok(ChatLoginResponse {
        error: ErrorCode::SUCCESS,
        token,
        email: account.email,
        profile: account.profile,
        apply_list,
        friend_list,
        friend_list_cut,
    })
}

/// Drops from the front, where the oldest are, what does not fit into so many bytes of JSON.
fn keep_newest(applications: &mut Vec<Application>, bytes: usize) {
    let mut room = bytes;
    let fits = |application: &&Application| {
        let size = json_len(application) + 1;
        let fits = size <= room;
        room = room.saturating_sub(size);
        fits
    };
    let kept = applications.iter().rev().take_while(fits).count();
    applications.drain(..applications.len() - kept);
}

/// Cuts a list into parts, the first of at most `first` bytes of JSON, the others of at most [`LIST_BYTES`].
fn split(friends: Vec<Friend>, first: usize) -> Vec<Vec<Friend>> {
    let mut parts = vec![Vec::new()];
    let mut room = first;
    for friend in friends {
        let size = json_len(&friend) + 1;
        if size > room {
            parts.push(Vec::new());
            room = LIST_BYTES;
        }
        room = room.saturating_sub(size);
        if let Some(part) = parts.last_mut() {
            part.push(friend);
        }
    }
    parts
}

fn json_len(value: &impl Serialize) -> usize {
    serde_json::to_vec(value).map_or(0, |json| json.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_friend_list_is_cut_into_parts_that_fit_and_lose_nobody() {
        let friends: Vec<_> = (1..=3_000)
            .map(|uid| Friend {
                profile: Profile { uid: UserId(uid), name: format!("friend number {uid}"), ..Profile::default() },
                back: "\"quoted\"".into(),
            })
            .collect();
        let parts = split(friends.clone(), 10_000);
        assert!(parts.len() > 2);
        assert!(json_len(&parts[0]) <= 10_001 && parts.iter().all(|part| json_len(part) <= LIST_BYTES + 1));
        assert_eq!(parts.concat(), friends);
        assert_eq!(split(Vec::new(), 10).len(), 1);
    }
}

//! Two handlers for one id are refused when the LogicSystem is built, and the error names both.

use uschat_server::{
    LogicSystem, Reply,
    logic::BuildError,
    proto::{ErrorCode, MessageId},
};

use crate::app::{self, Answer, App, Cx, Echo, Echoed};

async fn first(_: Cx, Echo(number): Echo) -> Answer<Echoed> {
    Ok(Reply::Now(Echoed(number)))
}

async fn second(_: Cx, Echo(number): Echo) -> Answer<Echoed> {
    Ok(Reply::Now(Echoed(number + 1)))
}

async fn third(_: Cx, _: Echo) -> Result<(), ErrorCode> {
    Ok(())
}

#[test]
fn two_requests_of_one_id() {
    let error = LogicSystem::<App>::builder().on(first).on_open(second).build().unwrap_err();
    let text = error.to_string();
    assert!(text.contains("::first") && text.contains("::second"), "{text}");
    let BuildError::DuplicateId { id, .. } = error else { panic!("{text}") };
    assert_eq!(id, MessageId(3));
}

#[test]
fn a_request_and_a_message_of_one_id() {
    let error = LogicSystem::<App>::builder().on(first).on_message(third).build().unwrap_err().to_string();
    assert!(error.contains("::first") && error.contains("::third"), "{error}");
}

#[test]
fn handlers_of_different_ids_are_fine() {
    app::handlers().build().unwrap();
}

//! The gRPC methods, their paths and their messages, as the original servers have them
//! (PROTOCOL.md, chapter gRPC). A rename in `proto/` would compile and reach nobody.

use std::path::Path;

const S1: [&str; 8] = [
    "/message.VarifyService/GetVarifyCode GetVarifyReq GetVarifyRsp",
    "/message.StatusService/GetChatServer GetChatServerReq GetChatServerRsp",
    "/message.StatusService/Login LoginReq LoginRsp",
    "/message.ChatService/NotifyAddFriend AddFriendReq AddFriendRsp",
    "/message.ChatService/RplyAddFriend RplyFriendReq RplyFriendRsp",
    "/message.ChatService/SendChatMsg SendChatMsgReq SendChatMsgRsp",
    "/message.ChatService/NotifyAuthFriend AuthFriendReq AuthFriendRsp",
    "/message.ChatService/NotifyTextChatMsg TextChatMsgReq TextChatMsgRsp",
];
const KICK: &str = "/message.ChatService/NotifyKickUser KickUserReq KickUserRsp";

#[test]
fn s1_has_the_paths_of_the_first_season() {
    assert_eq!(methods("message_s1.proto"), S1);
}

#[test]
fn m_has_the_chat_service_of_s1_and_the_kick() {
    let mut expected = S1[3..].to_vec();
    expected.push(KICK);
    assert_eq!(methods("message_m.proto"), expected);
}

#[test]
fn peer_has_one_method() {
    assert_eq!(methods("uschat/peer/v1/peer.proto"), ["/uschat.peer.v1.Peer/Deliver DeliverRequest DeliverResponse"]);
}

/// Path, request and response of every method, in the order of the file.
fn methods(proto: &str) -> Vec<String> {
    let include = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto");
    let descriptors = protox::compile([proto], [include]).expect("the file compiles");
    let file = descriptors.file.last().expect("a file was compiled");
    let mut methods = Vec::new();
    for service in &file.service {
        for method in &service.method {
            methods.push(format!(
                "/{}.{}/{} {} {}",
                file.package(),
                service.name(),
                method.name(),
                unqualified(method.input_type()),
                unqualified(method.output_type()),
            ));
        }
    }
    methods
}

fn unqualified(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

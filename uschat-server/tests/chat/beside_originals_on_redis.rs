//! Users of one cluster, some at an original server and some at ours, find each other by the keys that both read and write.

mod real_server {
    use std::{sync::Arc, time::Duration};

    use uschat_pool::redis::redis::{self, aio::MultiplexedConnection};
    use uschat_proto::chat::UserId;
    use uschat_server::{
        chat::{ChatConfig, ChatStores},
        store::{
            redis::{RedisOptions, RedisState},
            state::Tokens,
        },
    };

    use crate::{
        original_server::{OriginalServer, call, texts},
        redis_server::RedisServer,
        support::{TOKEN, World, text},
    };

    /// What an original does at a login: it writes its name, without an expiry.
    async fn logs_in_there(redis: &mut MultiplexedConnection, uid: UserId) {
        redis::cmd("SET").arg(format!("uip_{uid}")).arg("theirs").exec_async(redis).await.unwrap();
    }

    async fn holder(redis: &mut MultiplexedConnection, uid: UserId) -> Option<String> {
        redis::cmd("GET").arg(format!("uip_{uid}")).query_async(redis).await.unwrap()
    }

    #[tokio::test]
    async fn users_move_between_an_original_and_ours_and_hear_each_other() {
        let (world, mut theirs, server) = (World::new(), OriginalServer::start().await, RedisServer::start().await);
        let client = redis::Client::open(server.url()).unwrap();
        let mut redis = client.get_multiplexed_async_connection().await.unwrap();
        let options = RedisOptions { originals: vec!["theirs".into()], ..RedisOptions::default() };
        let state = Arc::new(RedisState::open(&server.url(), options).await.unwrap());
        let (ada, ben) = (world.user("ada").await, world.user("ben").await);
        world.friends(ada, ben).await;
        for uid in [ada, ben] {
            state.put_token(uid, TOKEN, Duration::from_secs(600)).await.unwrap();
        }
        let config = ChatConfig {
            originals: vec![theirs.as_peer("theirs")],
            heartbeat: Duration::from_millis(100),
            ..ChatConfig::new("ours", "127.0.0.1")
        };
        let ours = world.server_with(ChatStores { state, ..world.stores() }, config).await;

        logs_in_there(&mut redis, ben).await;
        let mut ada_here = ours.log_in(ada).await;
        ada_here.send(1017, &text(ben, "to the original", "{1}")).await;
        assert_eq!(ada_here.expect(1018).await["error"], 0);
        assert_eq!(theirs.expect("NotifyTextChatMsg").await.messages(3)[0].text(2), "to the original");

        assert_eq!(holder(&mut redis, ada).await.as_deref(), Some("ours"), "so an original calls us");
        let answered = call(ours.peers, "NotifyTextChatMsg", texts(ben.0, ada.0, &[("{2}", "to ours")])).await;
        assert_eq!(answered.int(1), 0);
        assert_eq!(ada_here.expect(1019).await["text_array"][0]["content"], "to ours");

        let mut ben_here = ours.log_in(ben).await;
        // Nobody knows what an original has shown.
        assert_eq!(ben_here.expect(1019).await["text_array"][0]["content"], "to the original");
        assert_eq!(holder(&mut redis, ben).await.as_deref(), Some("ours"));
        ada_here.send(1017, &text(ben, "on one server", "{3}")).await;
        assert_eq!(ada_here.expect(1018).await["error"], 0);
        assert_eq!(ben_here.expect(1019).await["text_array"][0]["content"], "on one server");

        logs_in_there(&mut redis, ada).await;
        assert_eq!(ada_here.expect(1021).await["uid"], ada.0, "one live session a user");
        assert_eq!(holder(&mut redis, ada).await.as_deref(), Some("theirs"));
        ben_here.send(1017, &text(ada, "there again", "{4}")).await;
        assert_eq!(ben_here.expect(1018).await["error"], 0);
        assert_eq!(theirs.expect("NotifyTextChatMsg").await.messages(3)[0].text(2), "there again");
        ours.stop().await;
        assert_eq!(holder(&mut redis, ben).await, None);
        assert_eq!(holder(&mut redis, ada).await.as_deref(), Some("theirs"), "what is theirs stays");
    }
}

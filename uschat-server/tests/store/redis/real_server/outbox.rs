//! The outbox that several processes share.

use uschat_server::{
    mail::{Mailer, ReadOutbox},
    store::redis::RedisOutbox,
};

use crate::redis::support::{Plain, RedisServer, open};

#[tokio::test]
async fn one_process_mails_and_another_reads_the_newest_code() {
    let server = RedisServer::start().await;
    let plain = Plain::to(&server).await;
    let (mailing, reading) = (RedisOutbox::new(&open(&server).await), RedisOutbox::new(&open(&server).await));
    assert_eq!(reading.newest_code("a@b.c").await.unwrap(), None);
    mailing.send_code("a@b.c", "first").await.unwrap();
    mailing.send_code("a@b.c", "second").await.unwrap();
    assert_eq!(reading.newest_code("a@b.c").await.unwrap().as_deref(), Some("second"));
    assert_eq!(reading.newest_code("other@b.c").await.unwrap(), None);
    assert_eq!(plain.keys().await, ["uschat:outbox:a@b.c"]);
    let left = plain.pttl("uschat:outbox:a@b.c").await;
    assert!(left > 3_590_000 && left <= 3_600_000, "{left}");
    assert!(!format!("{reading:?}").contains("second"));
}

#[tokio::test]
async fn a_server_that_is_gone_is_an_error_without_the_code() {
    let mut server = RedisServer::start().await;
    let outbox = RedisOutbox::new(&open(&server).await);
    server.kill();
    let error = outbox.send_code("a@b.c", "secret").await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
    assert!(outbox.newest_code("a@b.c").await.is_err());
}

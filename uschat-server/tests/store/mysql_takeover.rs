//! A database of the original servers is taken over with everything in it, and they can go on using it.

mod real_server {
    use uschat_proto::chat::{MessageKey, ThreadId, UserId};
    use uschat_server::store::{
        Applied, CreateAccountError, NOW_FRIENDS, NewAccount, PasswordHash, Progress, Standing,
        mysql::{MysqlStore, OpenError},
    };

    use crate::{
        conformance::{Stores, account, contents, seqs, texts},
        mysql_support::{execute, new_database, open, options, polled, refusal, rows},
    };

    const FIRST_SEASON: &str = include_str!("mysql_support/first_season.sql");
    const SECOND_SEASON: &str = include_str!("mysql_support/second_season.sql");
    const ADA: UserId = UserId(1002);
    const BOB: UserId = UserId(1019);
    const CY: UserId = UserId(1023);

    async fn first_season() -> String {
        let url = new_database().await;
        execute(&url, FIRST_SEASON).await;
        url
    }

    async fn second_season() -> String {
        let url = first_season().await;
        execute(&url, SECOND_SEASON).await;
        url
    }

    async fn take_over(url: &str) -> Stores {
        Stores::new(open(url).await, ())
    }

    #[tokio::test]
    async fn users_of_the_first_season_stay_who_they_are() {
        let stores = take_over(&first_season().await).await;
        let ada = stores.accounts.by_email("ada@example.org").await.unwrap().unwrap();
        assert_eq!((ada.profile.uid, ada.profile.nick.as_str(), ada.profile.sex), (ADA, "Countess", 1));
        assert_eq!(ada.password, PasswordHash::new("745230"));
        assert_eq!(stores.user("dan").await, UserId(1056), "their counter goes on");

        let upgraded = PasswordHash::new("$argon2id$new");
        assert!(stores.accounts.replace_password(ADA, &PasswordHash::new("745230"), upgraded.clone()).await.unwrap());
        assert_eq!(stores.accounts.by_uid(ADA).await.unwrap().unwrap().password, upgraded);
    }

    #[tokio::test]
    async fn friends_of_the_first_season_write_to_each_other() {
        let stores = take_over(&first_season().await).await;
        let friends = stores.contacts.friends(ADA).await.unwrap();
        assert_eq!((friends.len(), friends[0].profile.uid, friends[0].remark.as_str()), (1, BOB, "my Bob"));
        assert_eq!(stores.contacts.friends(BOB).await.unwrap()[0].remark, "", "a missing remark is none");

        assert_eq!(stores.conversations.private_thread(ADA, BOB).await.unwrap(), None);
        let stored = stores.conversations.submit(texts(BOB, ADA, &[("a", "1"), ("b", "2")])).await.unwrap();
        assert_eq!(seqs(&stored.texts), [1, 2]);
        assert_eq!(stores.conversations.private_thread(ADA, BOB).await.unwrap(), Some(stored.thread));
    }

    #[tokio::test]
    async fn applications_of_the_first_season_can_be_approved() {
        let stores = take_over(&first_season().await).await;
        let waiting = stores.contacts.applications_to(ADA, 10).await.unwrap();
        let waiting: Vec<_> = waiting.into_iter().map(|it| (it.applicant.uid, it.introduction, it.approved)).collect();
        assert_eq!(waiting, [(BOB, String::new(), true), (CY, String::new(), false)]);

        let approval = stores.contacts.approve(ADA, CY, "my Cy").await.unwrap();
        assert_eq!((approval.first, contents(&approval.texts)), (true, vec![NOW_FRIENDS]));
        // Approved by an original: the greeting is stored once.
        let approval = stores.contacts.approve(ADA, BOB, "Bobby").await.unwrap();
        assert_eq!((approval.first, seqs(&approval.texts)), (true, vec![1]));
        let again = stores.contacts.approve(ADA, BOB, "Bobby").await.unwrap();
        assert_eq!((again.first, again.texts), (false, approval.texts));
        assert_eq!(stores.contacts.apply(BOB, ADA, "hello", "").await.unwrap(), Applied::AlreadyApproved);
    }

    #[tokio::test]
    async fn texts_of_the_second_season_are_numbered_by_their_keys() {
        let url = second_season().await;
        let stores = take_over(&url).await;
        let all = stores.all(ThreadId(3)).await;
        assert_eq!(all.iter().map(|text| (text.key.0, text.seq)).collect::<Vec<_>>(), [(11, 1), (14, 2), (16, 3)]);
        assert_eq!(contents(&all), ["We are friends now", "hello Bob", "你好 😀"]);
        assert_eq!(all.iter().map(|text| text.sender).collect::<Vec<_>>(), [BOB, ADA, BOB]);
        assert_eq!(rows(&url, "SELECT thread_id, seq FROM thread_head ORDER BY 1").await, ["3|3", "7|1", "9|0"]);

        // The older of the two conversations counts, in whichever order it is stored.
        assert_eq!(stores.conversations.private_thread(ADA, BOB).await.unwrap(), Some(ThreadId(3)));
        let stored = stores.conversations.submit(texts(ADA, BOB, &[("a", "new")])).await.unwrap();
        assert_eq!((stored.thread, seqs(&stored.texts)), (ThreadId(3), vec![4]));
        assert!(stored.texts[0].key.0 > 16);
    }

    fn standing(peer: UserId, thread: i64, head: i64, delivered: i64) -> Standing {
        Standing { thread: ThreadId(thread), peer, head, delivered, read: 0 }
    }

    #[tokio::test]
    async fn what_was_there_before_counts_as_delivered_and_what_comes_later_waits() {
        let url = second_season().await;
        let stores = take_over(&url).await;
        let waiting = async |uid| stores.conversations.waiting(uid, ThreadId(0), 9).await.unwrap();
        let standings = stores.conversations.standings(ADA, &[ThreadId(3), ThreadId(7)]).await.unwrap();
        assert_eq!(standings.len(), 2);
        assert!(standings.iter().all(|standing| standing.head == standing.delivered && standing.head > 0));
        assert_eq!((waiting(ADA).await, waiting(BOB).await), (vec![], vec![]));
        let heads = stores.conversations.heads_after(MessageKey(0), 9).await.unwrap();
        let heads: Vec<_> = heads.into_iter().map(|head| (head.thread.0, head.seq, head.key)).collect();
        assert_eq!(heads.len(), 2);
        for (thread, seq, last) in heads {
            let key = format!("SELECT MAX(message_id) FROM chat_message WHERE thread_id = {thread}");
            assert_eq!(rows(&url, &key).await, [last.to_string()], "conversation {thread}, number {seq}");
        }

        stores.conversations.submit(texts(ADA, BOB, &[("", "new"), ("", "newer")])).await.unwrap();
        assert_eq!(waiting(BOB).await, [standing(ADA, 3, 5, 3)]);
        let fence = stores.accounts.next_fence(BOB).await.unwrap();
        let news = Progress { uid: BOB, fence, thread: ThreadId(3), delivered: 4, read: 0 };
        stores.conversations.record_progress(&[news]).await.unwrap();
        assert_eq!(waiting(BOB).await, [standing(ADA, 3, 5, 4)]);
        // News of something else do not undo the take-over.
        let fence = stores.accounts.next_fence(ADA).await.unwrap();
        let news = Progress { uid: ADA, fence, thread: ThreadId(3), delivered: 0, read: 2 };
        stores.conversations.record_progress(&[news]).await.unwrap();
        assert_eq!(waiting(ADA).await, [Standing { read: 2, ..standing(BOB, 3, 5, 3) }]);
    }

    #[tokio::test]
    async fn a_text_that_an_original_stores_later_waits_like_any_other() {
        let url = second_season().await;
        let stores = take_over(&url).await;
        let theirs = |thread: i64, content: &str| {
            format!(
                "INSERT INTO chat_message (thread_id, sender_id, recv_id, content, created_at, updated_at, status)
                 VALUES ({thread}, 1002, 1019, '{content}', NOW(), NOW(), 2)"
            )
        };
        execute(&url, &theirs(3, "a")).await;
        // Whoever asks first has it numbered.
        assert_eq!(stores.conversations.waiting(BOB, ThreadId(0), 9).await.unwrap(), [standing(ADA, 3, 4, 3)]);
        execute(&url, &theirs(3, "b")).await;
        assert_eq!(contents(&stores.conversations.texts_after(ThreadId(3), 3, 9).await.unwrap()), ["a", "b"]);
        execute(&url, &theirs(3, "c")).await;
        let standings = stores.conversations.standings(BOB, &[ThreadId(3)]).await.unwrap();
        assert_eq!(standings, [standing(ADA, 3, 6, 3)]);
        let head = stores.conversations.heads_after(MessageKey(0), 9).await.unwrap().pop().unwrap();
        assert_eq!((head.thread, head.seq, head.key), (ThreadId(3), 6, stores.conversations.last_key().await.unwrap()));
    }

    #[tokio::test]
    async fn a_conversation_that_an_original_opens_later_begins_as_delivered() {
        let url = second_season().await;
        let stores = take_over(&url).await;
        execute(
            &url,
            "INSERT INTO chat_thread (id, type) VALUES (40, 'private');
             INSERT INTO private_chat (thread_id, user1_id, user2_id) VALUES (40, 1002, 1023);
             INSERT INTO chat_message (thread_id, sender_id, recv_id, content, created_at, updated_at, status)
                VALUES (40, 1002, 1023, 'hello', NOW(), NOW(), 2), (40, 1023, 1002, 'friends', NOW(), NOW(), 2);
             INSERT IGNORE INTO friend (self_id, friend_id) VALUES (1002, 1023), (1023, 1002)",
        )
        .await;
        assert_eq!(stores.conversations.waiting(CY, ThreadId(0), 9).await.unwrap(), []);
        assert_eq!(stores.conversations.standings(CY, &[ThreadId(40)]).await.unwrap(), [standing(ADA, 40, 2, 2)]);
        stores.conversations.submit(texts(ADA, CY, &[("", "from us")])).await.unwrap();
        assert_eq!(stores.conversations.waiting(CY, ThreadId(0), 9).await.unwrap(), [standing(ADA, 40, 3, 2)]);
    }

    #[tokio::test]
    async fn a_database_of_the_first_version_goes_on_as_delivered() {
        let url = second_season().await;
        let store = open(&url).await;
        let stores = Stores::new(store.clone(), ());
        stores.conversations.submit(texts(ADA, BOB, &[("", "new")])).await.unwrap();
        store.close().await;
        execute(
            &url,
            "DROP TABLE thread_progress;
             ALTER TABLE thread_head DROP INDEX thread_head_last_key, DROP COLUMN last_key, DROP COLUMN taken_over;
             DELETE FROM uschat_schema WHERE version = 2",
        )
        .await;
        let plan = MysqlStore::dry_run(&url, &options()).await.unwrap();
        assert_eq!(plan.len(), 4, "{plan:#?}");
        let stores = take_over(&url).await;
        assert_eq!(stores.conversations.waiting(BOB, ThreadId(0), 9).await.unwrap(), []);
        let head = stores.conversations.heads_after(MessageKey(0), 9).await.unwrap().pop().unwrap();
        assert_eq!((head.seq, head.key), (4, stores.conversations.last_key().await.unwrap()));
        assert_eq!(stores.conversations.standings(BOB, &[ThreadId(3)]).await.unwrap(), [standing(ADA, 3, 4, 4)]);
    }

    #[tokio::test]
    async fn applications_of_the_second_season_keep_their_words() {
        let stores = take_over(&second_season().await).await;
        let approval = stores.contacts.approve(ADA, CY, "").await.unwrap();
        assert_eq!(contents(&approval.texts), ["I am Cy", NOW_FRIENDS]);
        assert_eq!(stores.contacts.friends(CY).await.unwrap()[0].remark, "the Countess");
        assert!(approval.thread_id.0 > 9);
    }

    #[tokio::test]
    async fn originals_go_on_with_their_own_statements() {
        let url = second_season().await;
        let stores = take_over(&url).await;
        execute(
            &url,
            "UPDATE user_id SET id = id + 1;
             INSERT INTO user (uid, name, email, pwd, nick, icon) VALUES (1056, 'eve', 'eve@example.org', '123', 'eve', '');
             INSERT INTO friend_apply (from_uid, to_uid, descs, back_name) VALUES (1056, 1023, 'I am Eve', 'Cyrus')
                ON DUPLICATE KEY UPDATE from_uid = from_uid, to_uid = to_uid;
             UPDATE friend_apply SET status = 1 WHERE from_uid = 1056 AND to_uid = 1023;
             INSERT IGNORE INTO friend (self_id, friend_id, back) VALUES (1023, 1056, ''), (1056, 1023, 'Cyrus');
             INSERT INTO chat_thread (type) VALUES ('private');
             SET @thread = LAST_INSERT_ID();
             INSERT INTO private_chat (thread_id, user1_id, user2_id) VALUES (@thread, 1056, 1023);
             INSERT INTO chat_message (thread_id, sender_id, recv_id, content, created_at, updated_at, status)
                VALUES (@thread, 1056, 1023, 'I am Eve', NOW(), NOW(), 2), (@thread, 1023, 1056, 'friends', NOW(), NOW(), 2)",
        )
        .await;
        assert_eq!(stores.user("dan").await, UserId(1057));
        let eve = stores.accounts.by_name("eve").await.unwrap().unwrap().profile.uid;
        let stored = stores.conversations.submit(texts(CY, eve, &[("", "hello Eve")])).await.unwrap();
        assert_eq!((stored.thread, seqs(&stored.texts)), (ThreadId(10), vec![3]));
        assert_eq!(contents(&stores.all(ThreadId(10)).await), ["I am Eve", "friends", "hello Eve"]);
    }

    #[tokio::test]
    async fn names_and_addresses_of_a_case_insensitive_database_are_compared_exactly() {
        let stores = take_over(&first_season().await).await;
        assert_eq!(stores.accounts.by_name("ADA").await.unwrap(), None);
        assert_eq!(stores.accounts.by_email("Ada@example.org").await.unwrap(), None);
        assert!(
            !stores.accounts.replace_password(BOB, &PasswordHash::new("XYZ/()"), PasswordHash::new("")).await.unwrap()
        );
        // Its unique index cannot tell these apart.
        let clash = NewAccount { email: "BOB@example.org".into(), ..account("robert") };
        assert!(matches!(stores.accounts.create(clash).await, Err(CreateAccountError::EmailTaken)));
        let other = NewAccount { email: "other@example.org".into(), ..account("BOB") };
        let other = stores.accounts.create(other).await.unwrap();
        assert_eq!(stores.accounts.by_name("BOB").await.unwrap().unwrap().profile.uid, other);
        assert_eq!(stores.accounts.by_name("bob").await.unwrap().unwrap().profile.uid, BOB);
        assert!(matches!(stores.accounts.create(account("bob")).await, Err(CreateAccountError::EmailTaken)));
    }

    #[tokio::test]
    async fn an_empty_counter_begins_behind_the_highest_uid() {
        let url = first_season().await;
        execute(&url, "DELETE FROM user_id").await;
        assert_eq!(take_over(&url).await.user("dan").await, UserId(1024));
        let url = first_season().await;
        execute(&url, "UPDATE user_id SET id = 3").await;
        assert_eq!(take_over(&url).await.user("dan").await, UserId(1024));
    }

    /// Everything there is to see in a database.
    async fn fingerprint(url: &str) -> Vec<String> {
        let mut all = Vec::new();
        for query in [
            "SELECT table_name, engine, table_collation FROM information_schema.tables
             WHERE table_schema = DATABASE() ORDER BY 1",
            "SELECT table_name, column_name, column_type, is_nullable, column_default FROM information_schema.columns
             WHERE table_schema = DATABASE() ORDER BY table_name, ordinal_position",
            "SELECT table_name, index_name, seq_in_index, column_name FROM information_schema.statistics
             WHERE table_schema = DATABASE() ORDER BY 1, 2, 3",
        ] {
            all.extend(rows(url, query).await);
        }
        let tables =
            rows(url, "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()").await;
        for table in tables {
            all.extend(rows(url, &format!("CHECKSUM TABLE `{table}`")).await);
        }
        all
    }

    #[tokio::test]
    async fn a_dry_run_says_what_would_change_and_changes_nothing() {
        let url = second_season().await;
        let before = fingerprint(&url).await;
        let plan = MysqlStore::dry_run(&url, &options()).await.unwrap();
        assert_eq!(fingerprint(&url).await, before);
        for expected in [
            "CREATE TABLE thread_head",
            "ALTER TABLE chat_message ADD COLUMN seq",
            "CREATE UNIQUE INDEX chat_message_client",
            "add a row to thread_head for each of 3 conversations",
            "number 4 stored texts",
        ] {
            assert_eq!(plan.iter().filter(|change| change.starts_with(expected)).count(), 1, "{expected}: {plan:#?}");
        }
        // What is there is not made again, whatever its name.
        assert!(
            !plan.iter().any(|change| change.contains("TABLE user (") || change.contains("user_email")),
            "{plan:#?}"
        );

        open(&url).await.close().await;
        assert_ne!(fingerprint(&url).await, before);
        assert_eq!(MysqlStore::dry_run(&url, &options()).await.unwrap(), Vec::<String>::new());
    }

    #[tokio::test]
    async fn a_dry_run_on_an_empty_database_lists_every_table() {
        let url = new_database().await;
        let plan = MysqlStore::dry_run(&url, &options()).await.unwrap();
        assert_eq!(plan.iter().filter(|change| change.starts_with("CREATE TABLE")).count(), 13, "{plan:#?}");
        assert_eq!(rows(&url, "SHOW TABLES").await, Vec::<String>::new());
    }

    #[tokio::test]
    async fn a_migration_that_was_cut_off_anywhere_is_continued() {
        let whole = second_season().await;
        open(&whole).await.close().await;
        let expected = fingerprint(&whole).await;
        let url = second_season().await;
        let plan = MysqlStore::dry_run(&url, &options()).await.unwrap();
        let changes: Vec<_> =
            plan.into_iter().filter(|change| change.contains("TABLE") || change.contains("INDEX")).collect();
        for done in (0..=changes.len()).step_by(3) {
            let url = second_season().await;
            for change in &changes[..done] {
                execute(&url, change).await;
            }
            if done > changes.len() / 2 {
                // Cut off while texts were numbered.
                execute(&url, "INSERT IGNORE INTO thread_head (thread_id) VALUES (3)").await;
            }
            let stores = take_over(&url).await;
            assert_eq!(seqs(&stores.all(ThreadId(3)).await), [1, 2, 3], "after {done}");
            // Checksums are lines that begin with the database's name; they differ by the times of day.
            let schema =
                |all: &[String]| all.iter().filter(|line| !line.starts_with("case")).cloned().collect::<Vec<_>>();
            assert_eq!(schema(&fingerprint(&url).await), schema(&expected), "after {done}");
        }
    }

    #[tokio::test]
    async fn an_open_that_is_ended_anywhere_is_continued_by_the_next() {
        let mut ended = 0;
        for polls in (0..150).step_by(9) {
            let url = second_season().await;
            ended += usize::from(polled(polls, open(&url)).await.is_none());
            let stores = take_over(&url).await;
            assert_eq!(seqs(&stores.all(ThreadId(3)).await), [1, 2, 3], "after {polls} polls");
            assert_eq!(rows(&url, "SELECT version, done FROM uschat_schema ORDER BY 1").await, ["1|1", "2|1"]);
            assert_eq!(MysqlStore::dry_run(&url, &options()).await.unwrap(), Vec::<String>::new());
        }
        assert!(ended > 5, "only {ended} were ended");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn programs_that_start_together_take_over_once() {
        let url = second_season().await;
        let opened = futures_util::future::join_all((0..6).map(|_| open(&url))).await;
        assert_eq!(opened.len(), 6);
        assert_eq!(rows(&url, "SELECT version, done FROM uschat_schema ORDER BY 1").await, ["1|1", "2|1"]);
        assert_eq!(rows(&url, "SELECT COUNT(*), COUNT(DISTINCT thread_id, seq) FROM chat_message").await, ["4|4"]);
    }

    #[tokio::test]
    async fn a_large_conversation_is_numbered_in_steps() {
        let url = second_season().await;
        execute(
            &url,
            "INSERT INTO chat_message (thread_id, sender_id, recv_id, content) SELECT 7, 1002, 1019, seq FROM seq_1_to_5003",
        )
        .await;
        let stores = take_over(&url).await;
        assert_eq!(seqs(&stores.all(ThreadId(7)).await), (1..=5_004).collect::<Vec<_>>());
        assert_eq!(rows(&url, "SELECT seq FROM thread_head WHERE thread_id = 7").await, ["5004"]);
    }

    #[tokio::test]
    async fn a_database_of_another_program_is_refused_and_left_alone() {
        for (made, why) in [
            ("CREATE TABLE user (id INT PRIMARY KEY, login TEXT)", "its table `user` has no column `uid`"),
            ("CREATE TABLE posts (id INT PRIMARY KEY)", "no table `user`"),
        ] {
            let url = new_database().await;
            execute(&url, made).await;
            let before = fingerprint(&url).await;
            let error = refusal(&url).await;
            assert!(matches!(error, OpenError::Foreign { .. }) && error.to_string().contains(why), "{error}");
            assert!(matches!(MysqlStore::dry_run(&url, &options()).await, Err(OpenError::Foreign { .. })));
            assert_eq!(fingerprint(&url).await, before);
        }
    }

    #[tokio::test]
    async fn a_table_without_transactions_is_refused() {
        let url = first_season().await;
        execute(&url, "ALTER TABLE friend ENGINE = Aria").await;
        let error = refusal(&url).await;
        assert!(error.to_string().contains("ALTER TABLE friend ENGINE = InnoDB"), "{error}");
    }

    #[tokio::test]
    async fn a_newer_or_different_schema_is_refused() {
        let url = new_database().await;
        open(&url).await.close().await;
        execute(&url, "INSERT INTO uschat_schema (version, checksum, done) VALUES (99, '', 1)").await;
        let error = refusal(&url).await;
        assert!(matches!(error, OpenError::Newer { found: 99, known: 2, .. }), "{error:?}");
        assert!(error.to_string().contains("start the newer version"), "{error}");

        execute(&url, "DELETE FROM uschat_schema WHERE version = 99; UPDATE uschat_schema SET checksum = ''").await;
        let error = refusal(&url).await;
        assert!(matches!(error, OpenError::Changed { version: 1, .. }), "{error:?}");
    }
}

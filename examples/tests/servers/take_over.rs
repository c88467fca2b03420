//! A database of the original servers is taken over: everybody and everything is still there, and what the originals do to
//! the tables still works.

mod real_server {
    use serde_json::{Value, json};

    use crate::support::{
        Outcome, RawClient, Topology, User, ids_of, numbers_of, rows_of, run,
        servers::{execute, new_database, new_redis, redis_commands, rows},
        texts, xor_password,
    };

    /// The passwords of Ada and Bob as the Qt client sends them, and as the first season stored them.
    const ADAS_STORED: &str = "{mkzm|9)";
    const BOBS_STORED: &str = "745230";

    /// As the dump of the first season makes its tables, with rows of ours: Ada (1002) and Bob (1019) are friends, who call
    /// each other names; Cy (1023) waits for an answer of Ada's.
    const FIRST_SEASON: &str = "
        CREATE TABLE `user` (
            `id` int NOT NULL AUTO_INCREMENT, `uid` int NOT NULL DEFAULT '0',
            `name` varchar(255) NOT NULL DEFAULT '', `email` varchar(255) NOT NULL DEFAULT '',
            `pwd` varchar(255) NOT NULL DEFAULT '', `nick` varchar(255) NOT NULL DEFAULT '',
            `desc` varchar(255) NOT NULL DEFAULT '', `sex` int NOT NULL DEFAULT '0',
            `icon` varchar(255) NOT NULL DEFAULT '',
            PRIMARY KEY (`id`), UNIQUE KEY `uid` (`uid`), UNIQUE KEY `email` (`email`), KEY `name` (`name`)
        ) ENGINE=InnoDB CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
        INSERT INTO `user` (uid, name, email, pwd, nick, `desc`, sex, icon) VALUES
            (1002, 'ada', 'ada@example.org', '{mkzm|9)', 'Countess', 'counts', 1, ':/res/head_1.jpg'),
            (1019, 'bob', 'bob@example.org', '745230', 'Bobby', '', 0, ':/res/head_2.jpg'),
            (1023, 'cy', 'cy@example.org', '745230', 'Cy', '', 0, '');
        CREATE TABLE `user_id` (`id` int NOT NULL, PRIMARY KEY (`id`)) ENGINE=InnoDB;
        INSERT INTO `user_id` VALUES (1055);
        CREATE TABLE `friend` (
            `id` int unsigned NOT NULL AUTO_INCREMENT, `self_id` int NOT NULL, `friend_id` int NOT NULL,
            `back` varchar(255) DEFAULT '', PRIMARY KEY (`id`), UNIQUE KEY `self_friend` (`self_id`, `friend_id`)
        ) ENGINE=InnoDB CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
        INSERT INTO `friend` (self_id, friend_id, back) VALUES (1002, 1019, 'my Bob'), (1019, 1002, 'la comtesse');
        CREATE TABLE `friend_apply` (
            `id` bigint NOT NULL AUTO_INCREMENT, `from_uid` int NOT NULL, `to_uid` int NOT NULL,
            `status` smallint NOT NULL DEFAULT '0',
            PRIMARY KEY (`id`), UNIQUE KEY `from_to_uid` (`from_uid`, `to_uid`)
        ) ENGINE=InnoDB CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
        INSERT INTO `friend_apply` (from_uid, to_uid, status) VALUES (1019, 1002, 1), (1023, 1002, 0);";

    /// What later originals have in addition. The pair has two threads, one in each order: approval stored it unsorted, and
    /// who looked for it sorted made another one.
    const SECOND_SEASON: &str = "
        ALTER TABLE `friend_apply` ADD `descs` varchar(255) DEFAULT '', ADD `back_name` varchar(255) DEFAULT '';
        UPDATE `friend_apply` SET descs = 'I am Cy', back_name = 'Lady A' WHERE from_uid = 1023;
        CREATE TABLE `chat_thread` (
            `id` bigint unsigned NOT NULL AUTO_INCREMENT, `type` enum('private','group') NOT NULL,
            `created_at` timestamp NULL DEFAULT CURRENT_TIMESTAMP, PRIMARY KEY (`id`)
        ) ENGINE=InnoDB CHARSET=utf8mb4;
        INSERT INTO `chat_thread` (id, type) VALUES (3, 'private'), (7, 'private');
        CREATE TABLE `private_chat` (
            `thread_id` bigint unsigned NOT NULL, `user1_id` bigint unsigned NOT NULL, `user2_id` bigint unsigned NOT NULL,
            `created_at` timestamp NULL DEFAULT CURRENT_TIMESTAMP, PRIMARY KEY (`thread_id`),
            UNIQUE KEY `uniq_private_thread` (`user1_id`, `user2_id`),
            KEY `idx_private_user1_thread` (`user1_id`, `thread_id`), KEY `idx_private_user2_thread` (`user2_id`, `thread_id`)
        ) ENGINE=InnoDB CHARSET=utf8mb4;
        INSERT INTO `private_chat` (thread_id, user1_id, user2_id) VALUES (3, 1019, 1002), (7, 1002, 1019);
        CREATE TABLE `group_chat` (
            `thread_id` bigint unsigned NOT NULL, `name` varchar(255) DEFAULT NULL,
            `created_at` timestamp NULL DEFAULT CURRENT_TIMESTAMP, PRIMARY KEY (`thread_id`)
        ) ENGINE=InnoDB CHARSET=utf8mb4;
        CREATE TABLE `group_chat_member` (
            `thread_id` bigint unsigned NOT NULL, `user_id` bigint unsigned NOT NULL, `role` tinyint NOT NULL DEFAULT '0',
            `joined_at` timestamp NULL DEFAULT CURRENT_TIMESTAMP, `muted_until` timestamp NULL DEFAULT NULL,
            PRIMARY KEY (`thread_id`, `user_id`), KEY `idx_user_threads` (`user_id`)
        ) ENGINE=InnoDB CHARSET=utf8mb4;
        CREATE TABLE `chat_message` (
            `message_id` bigint unsigned NOT NULL AUTO_INCREMENT, `thread_id` bigint unsigned NOT NULL,
            `sender_id` bigint unsigned NOT NULL, `recv_id` bigint unsigned NOT NULL, `content` text NOT NULL,
            `created_at` timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP,
            `updated_at` timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
            `status` tinyint NOT NULL DEFAULT '0', PRIMARY KEY (`message_id`),
            KEY `idx_thread_created` (`thread_id`, `created_at`), KEY `idx_thread_message` (`thread_id`, `message_id`)
        ) ENGINE=InnoDB CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
        INSERT INTO `chat_message` (message_id, thread_id, sender_id, recv_id, content, status) VALUES
            (11, 3, 1019, 1002, 'We are friends now', 2), (14, 3, 1002, 1019, 'hello Bob', 2),
            (15, 7, 1002, 1019, 'in the other thread', 2), (16, 3, 1019, 1002, '你好 😀', 0);";

    async fn database(statements: &[&str]) -> String {
        let url = new_database().await;
        for statements in statements {
            execute(&url, statements).await;
        }
        url
    }

    /// A user of the originals, who never heard of us.
    fn old_user(name: &str, password: &str) -> User {
        User {
            uid: 0,
            name: name.to_owned(),
            email: format!("{name}@example.org"),
            password: password.to_owned(),
            token: String::new(),
            host: String::new(),
            port: String::new(),
        }
    }

    async fn old_users(topology: &Topology) -> (User, User) {
        let (mut ada, mut bob) = (old_user("ada", "secret1!"), old_user("bob", "123456"));
        topology.log_in_at_gate(&mut ada).await;
        topology.log_in_at_gate(&mut bob).await;
        assert_eq!((ada.uid, bob.uid), (1002, 1019));
        (ada, bob)
    }

    async fn wrong_password(topology: &Topology, email: &str) {
        let reply = topology.post("/user_login", &json!({ "email": email, "passwd": xor_password("wrong1!!") })).await;
        assert_eq!(reply["error"], 1009, "{reply}");
    }

    async fn password(url: &str, name: &str) -> String {
        rows(url, &format!("SELECT pwd FROM user WHERE name = '{name}'")).await.remove(0)
    }

    /// Everything there is: columns, indexes and the contents of the tables.
    async fn contents(url: &str) -> Vec<String> {
        let columns = "SELECT table_name, column_name, column_type, is_nullable, column_default, collation_name \
            FROM information_schema.columns WHERE table_schema = database() ORDER BY 1, ordinal_position";
        let indexes = "SELECT table_name, index_name, column_name, non_unique \
            FROM information_schema.statistics WHERE table_schema = database() ORDER BY 1, 2, seq_in_index";
        let mut all = [rows(url, columns).await, rows(url, indexes).await].concat();
        for table in rows(url, "SHOW TABLES").await {
            all.extend(rows(url, &format!("SELECT * FROM `{table}`")).await);
        }
        all
    }

    async fn migrate(url: &str, more: &[&str]) -> Outcome {
        let outcome = run(&[&["migrate", "--sql", url], more].concat()).await;
        assert_eq!((outcome.status, outcome.stderr.as_str()), (Some(0), ""), "{outcome:?}");
        outcome
    }

    #[tokio::test]
    async fn a_dry_run_says_what_would_change_and_changes_nothing() {
        for season in [&[FIRST_SEASON][..], &[FIRST_SEASON, SECOND_SEASON]] {
            let url = database(season).await;
            let before = contents(&url).await;
            let told = migrate(&url, &["--dry-run"]).await.stdout;
            assert!(told.starts_with("This would change:\n  ") && told.ends_with("\nNothing was changed.\n"), "{told}");
            assert!(told.contains("chat_message"), "{told}");
            assert_eq!(contents(&url).await, before);

            assert_eq!(migrate(&url, &[]).await.stdout, "The database is up to date.\n");
            let after = contents(&url).await;
            assert_ne!(after, before);
            let nothing = "The database is up to date; nothing would change.\n";
            assert_eq!(migrate(&url, &["--dry-run"]).await.stdout, nothing);
            // The passwords above all: who they belong to is known only when they log in.
            assert_eq!(
                (password(&url, "ada").await, password(&url, "bob").await),
                (ADAS_STORED.into(), BOBS_STORED.into())
            );
            migrate(&url, &[]).await;
            assert_eq!(contents(&url).await, after, "a second time changes nothing");
        }
    }

    #[tokio::test]
    async fn users_of_the_first_season_find_everything_as_it_was() {
        let url = database(&[FIRST_SEASON]).await;
        let redis = new_redis().await;
        let topology = Topology::start(&["--sql", &url, "--redis", &redis]).await;

        wrong_password(&topology, "ada@example.org").await;
        assert_eq!(password(&url, "ada").await, ADAS_STORED, "who does not know it changes nothing");
        // The very text that is stored is no password, or whoever saw the table could log in.
        let stored = topology.post("/user_login", &json!({ "email": "ada@example.org", "passwd": "secret1!" })).await;
        assert_eq!(stored["error"], 1009, "{stored}");
        assert_eq!(xor_password("secret1!"), ADAS_STORED, "what the Qt client sends");
        let (ada, mut bob) = old_users(&topology).await;
        for name in ["ada", "bob"] {
            let hash = password(&url, name).await;
            assert!(hash.starts_with("$argon2id$"), "{hash}");
        }
        assert_eq!(password(&url, "cy").await, "745230", "not logged in yet");
        wrong_password(&topology, "bob@example.org").await;
        topology.log_in_at_gate(&mut bob).await;

        let (mut a, profile) = RawClient::log_in(&ada).await;
        for (key, value) in [("nick", "Countess"), ("desc", "counts"), ("icon", ":/res/head_1.jpg"), ("name", "ada")] {
            assert_eq!(profile[key], value, "{profile}");
        }
        assert_eq!(friends(&profile), ["1019 bob Bobby my Bob"]);
        assert_eq!(applications(&profile), ["1019 1", "1023 0"]);
        let (mut b, profile) = RawClient::log_in(&bob).await;
        assert_eq!(friends(&profile), ["1002 ada Countess la comtesse"]);

        let said = a.say(&bob, "first", "hello old friend").await;
        assert_eq!(numbers_of(&said), [1]);
        let heard = b.skip_to(1019).await;
        assert_eq!((ids_of(&heard), heard["fromuid"].as_i64()), (vec!["first"], Some(1002)));
        let stored = "SELECT m.seq, m.sender_id, m.recv_id, m.content, p.user1_id, p.user2_id \
            FROM chat_message m JOIN private_chat p USING (thread_id) JOIN chat_thread t ON t.id = m.thread_id \
            WHERE t.type = 'private'";
        assert_eq!(rows(&url, stored).await, ["1|1002|1019|hello old friend|1002|1019"]);

        let approved = a.ask(1013, &json!({ "touid": 1023, "back": "the young" })).await;
        assert_eq!((&approved["error"], &approved["name"]), (&json!(0), &json!("cy")), "{approved}");
        let pair = "SELECT self_id, friend_id, back FROM friend WHERE 1023 IN (self_id, friend_id) ORDER BY self_id";
        assert_eq!(rows(&url, pair).await, ["1002|1023|the young", "1023|1002|"]);
        assert_eq!(rows(&url, "SELECT status FROM friend_apply WHERE from_uid = 1023").await, ["1"]);

        let new = topology.sign_up("dan").await;
        assert_eq!(new.uid, 1056, "their counter goes on");
        assert_eq!(rows(&url, "SELECT id FROM user_id").await, ["1056"]);
    }

    #[tokio::test]
    async fn what_an_original_left_in_redis_misleads_nobody() {
        let (url, redis) = (database(&[FIRST_SEASON]).await, new_redis().await);
        // No key of a first-season server ever expires: tokens, where users were, profiles with passwords, dead servers.
        let profile = r#"{\"uid\":1002,\"pwd\":\"old-secret\",\"name\":\"ada\",\"email\":\"e\",\"nick\":\"Miss\",\"desc\":\"\",\"sex\":1,\"icon\":\"\"}"#;
        let left = [
            "SET utoken_1002 an-old-token",
            "SET uip_1002 chatserver1",
            "SET uip_1019 chatserver9",
            "HSET logincount chatserver9 0 chatserver1 17 chatserver2 3",
            &format!("SET ubaseinfo_1002 \"{profile}\""),
            &format!("SET nameinfo_ada \"{profile}\""),
        ];
        redis_commands(&redis, &left).await;
        let topology = Topology::start(&["--sql", &url, "--redis", &redis]).await;
        let (ada, bob) = old_users(&topology).await;
        let ours: Vec<_> = topology.ready.chats.iter().map(|chat| chat.tcp.as_str()).collect();
        assert!(ours.contains(&ada.chat_address().as_str()) && ours.contains(&bob.chat_address().as_str()));
        let old = User { token: "an-old-token".to_owned(), ..ada.clone() };
        let refused = RawClient::connect(&ada.chat_address()).await.log_in_as(&old).await;
        assert_eq!(refused["error"], 1010, "a login at the gate replaces it: {refused}");

        // Both on one server, then each on another.
        for (id, address) in [("1", ada.chat_address().as_str()), ("2", ours[0]), ("3", ours[1])] {
            let (mut a, _) = RawClient::log_in(&ada).await;
            let (mut b, _) = RawClient::log_in_at(address, &bob, &[]).await;
            assert_eq!(a.say(&bob, id, "are you there?").await["error"], 0);
            assert_eq!(ids_of(&b.skip_to(1019).await), [id]);
        }
        let (mut b, _) = RawClient::log_in(&bob).await;
        let found = b.ask(1007, &json!({ "uid": "1002" })).await;
        assert_eq!((&found["error"], &found["name"]), (&json!(0), &json!("ada")), "{found}");
        assert!(
            found.get("pwd").is_none() && found.get("email").is_none(),
            "the copies hold more than anybody may see"
        );
    }

    #[tokio::test]
    async fn what_the_originals_do_to_the_tables_still_works() {
        let url = database(&[FIRST_SEASON]).await;
        let topology = Topology::start(&["--sql", &url, "--chats", "1", "--keep-original-passwords"]).await;
        let (ada, _) = old_users(&topology).await;

        // Registration.
        assert_eq!(rows(&url, "SELECT 1 FROM user WHERE email = 'eve@example.org'").await, [""; 0]);
        assert_eq!(rows(&url, "SELECT 1 FROM user WHERE name = 'eve'").await, [""; 0]);
        let new = xor_password("eve's own");
        execute(
            &url,
            &format!(
                "SET autocommit = 0; UPDATE user_id SET id = id + 1; SELECT id FROM user_id;
                 INSERT INTO user (uid, name, email, pwd, nick, icon)
                    VALUES (1056, 'eve', 'eve@example.org', \"{new}\", 'eve', ':/res/head_3.jpg'); COMMIT"
            ),
        )
        .await;
        assert_eq!(rows(&url, "SELECT id FROM user_id").await, ["1056"]);
        // The gate's look-up of a login, and the chat server's.
        assert_eq!(rows(&url, "SELECT * FROM user WHERE email = 'ada@example.org'").await.len(), 1);
        let found = rows(&url, "SELECT uid, pwd FROM user WHERE uid = 1056").await;
        assert_eq!(found, [format!("1056|{new}")]);
        // Application, twice, and approval.
        let apply = "INSERT INTO friend_apply (from_uid, to_uid) VALUES (1056, 1002)
            ON DUPLICATE KEY UPDATE from_uid = from_uid, to_uid = to_uid";
        execute(&url, apply).await;
        execute(&url, apply).await;
        let list = "SELECT apply.from_uid, apply.status, user.name, user.nick, user.sex FROM friend_apply AS apply \
            JOIN user ON apply.from_uid = user.uid WHERE apply.to_uid = 1002 AND apply.id > 0 ORDER BY apply.id ASC LIMIT 0, 10";
        assert_eq!(rows(&url, list).await, ["1019|1|bob|Bobby|0", "1023|0|cy|Cy|0", "1056|0|eve|eve|0"]);
        execute(
            &url,
            "UPDATE friend_apply SET status = 1 WHERE from_uid = 1056 AND to_uid = 1002;
             INSERT IGNORE INTO friend (self_id, friend_id, back) VALUES (1002, 1056, 'Eve');
             INSERT IGNORE INTO friend (self_id, friend_id, back) VALUES (1056, 1002, '')",
        )
        .await;
        assert_eq!(rows(&url, "SELECT * FROM friend WHERE self_id = 1056").await.len(), 1);

        // What they wrote is what our users see, and our rows are such as they can read.
        let mut eve = old_user("eve", "eve's own");
        topology.log_in_at_gate(&mut eve).await;
        assert_eq!(password(&url, "eve").await, new, "their gate must be able to compare it");
        let (mut a, profile) = RawClient::log_in(&ada).await;
        assert_eq!(friends(&profile), ["1019 bob Bobby my Bob", "1056 eve eve Eve"]);
        let (mut e, _) = RawClient::log_in(&eve).await;
        assert_eq!(numbers_of(&e.say(&ada, "e1", "made at the original").await), [1]);
        assert_eq!(ids_of(&a.skip_to(1019).await), ["e1"]);
        assert_eq!(topology.sign_up("dan").await.uid, 1057, "nobody's number is given twice");
        let seen = "SELECT uid, name, email, nick, sex FROM user WHERE email = 'dan@example.org'";
        assert_eq!(rows(&url, seen).await, ["1057|dan|dan@example.org|dan|0"]);
    }

    #[tokio::test]
    async fn texts_of_the_second_season_are_numbered_and_go_on() {
        let url = database(&[FIRST_SEASON, SECOND_SEASON]).await;
        let topology = Topology::start(&["--sql", &url]).await;
        let (ada, bob) = old_users(&topology).await;
        let (mut a, profile) = RawClient::log_in(&ada).await;
        assert_eq!(applications(&profile), ["1019 1", "1023 0"]);
        let (mut b, _) = RawClient::log_in(&bob).await;
        let numbers = "SELECT thread_id, seq, message_id FROM chat_message ORDER BY thread_id, message_id";
        assert_eq!(rows(&url, numbers).await, ["3|1|11", "3|2|14", "3|3|16", "7|1|15"]);

        // The older thread of the two goes on, whoever says something.
        assert_eq!(numbers_of(&a.say(&bob, "a1", "goes on").await), [4]);
        let heard = b.skip_to(1019).await;
        assert_eq!((ids_of(&heard), &heard["thread_id"]), (vec!["a1"], &json!(3)));
        assert!(rows_of(&heard)[0]["message_id"].as_i64().unwrap() > 16, "{heard}");
        assert_eq!(numbers_of(&b.say(&ada, "b1", "so it does").await), [5]);

        // An original that goes on writing gives no numbers; the next one of ours does.
        execute(
            &url,
            "INSERT INTO chat_message (thread_id, sender_id, recv_id, content, created_at, updated_at, status)
                VALUES (3, 1019, 1002, 'from an original', NOW(), NOW(), 2)",
        )
        .await;
        assert_eq!(numbers_of(&a.say(&bob, "a2", "after it").await), [7]);
        let last = "SELECT seq, content FROM chat_message WHERE thread_id = 3 AND seq > 3 ORDER BY message_id";
        assert_eq!(rows(&url, last).await, ["4|goes on", "5|so it does", "6|from an original", "7|after it"]);

        // In the other one, by its number, as that season's clients say it.
        let mut named = texts(1019, &[("c1", "here, too")]);
        named["thread_id"] = json!(7);
        let said = a.ask(1017, &named).await;
        assert_eq!((numbers_of(&said), &said["thread_id"]), (vec![2], &json!(7)));

        let approved = a.ask(1013, &json!({ "touid": 1023, "back": "" })).await;
        let greeting: Vec<_> =
            approved["chat_datas"].as_array().unwrap().iter().map(|text| &text["msg_content"]).collect();
        assert_eq!(greeting[0], "I am Cy", "{approved}");
        assert_eq!(rows(&url, "SELECT back FROM friend WHERE self_id = 1023").await, ["Lady A"]);
    }

    #[tokio::test]
    async fn original_passwords_are_kept_if_wanted() {
        let url = database(&[FIRST_SEASON]).await;
        let topology = Topology::start(&["--sql", &url, "--chats", "1", "--keep-original-passwords"]).await;
        wrong_password(&topology, "ada@example.org").await;
        let (ada, _) = old_users(&topology).await;
        RawClient::log_in(&ada).await;
        assert_eq!(
            (password(&url, "ada").await, password(&url, "bob").await),
            (ADAS_STORED.into(), BOBS_STORED.into())
        );
        topology.sign_up("dan").await;
        assert!(password(&url, "dan").await.starts_with("$argon2id$"), "new ones are ours");
    }

    /// The friends of a 1006: number, name, nickname, remark.
    fn friends(profile: &Value) -> Vec<String> {
        let all = profile["friend_list"].as_array().unwrap_or_else(|| panic!("no friends: {profile}")).iter();
        let text = |friend: &Value, key: &str| friend[key].as_str().unwrap().to_owned();
        all.map(|friend| {
            format!("{} {} {} {}", friend["uid"], text(friend, "name"), text(friend, "nick"), text(friend, "back"))
        })
        .collect()
    }

    /// The applications of a 1006: number and status.
    fn applications(profile: &Value) -> Vec<String> {
        let all = profile["apply_list"].as_array().unwrap_or_else(|| panic!("no applications: {profile}")).iter();
        all.map(|application| format!("{} {}", application["uid"], application["status"])).collect()
    }
}

-- What a second-season server has in addition (after first_season.sql): introductions, conversations and texts. One pair
-- has two conversations, because approval stored it in the other order than a later request looked for.
ALTER TABLE `friend_apply`
    ADD `descs` varchar(255) NULL DEFAULT '',
    ADD `back_name` varchar(255) NULL DEFAULT '';
UPDATE `friend_apply` SET descs = 'I am Cy', back_name = 'the Countess' WHERE from_uid = 1023;

CREATE TABLE `chat_thread` (
    `id` bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY,
    `type` enum('private', 'group') NOT NULL,
    `created_at` timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;
INSERT INTO `chat_thread` (id, type) VALUES (3, 'private'), (7, 'private'), (9, 'group');

CREATE TABLE `private_chat` (
    `thread_id` bigint unsigned NOT NULL,
    `user1_id` bigint unsigned NOT NULL,
    `user2_id` bigint unsigned NOT NULL,
    `created_at` timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP,
    PRIMARY KEY (`thread_id`),
    UNIQUE KEY `unique_private_chat` (`user1_id`, `user2_id`),
    KEY `idx_user1` (`user1_id`, `thread_id`),
    KEY `idx_user2` (`user2_id`, `thread_id`)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;
INSERT INTO `private_chat` (thread_id, user1_id, user2_id) VALUES (3, 1019, 1002), (7, 1002, 1019);

CREATE TABLE `group_chat` (
    `thread_id` bigint unsigned NOT NULL PRIMARY KEY,
    `name` varchar(255) DEFAULT NULL,
    `created_at` timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;
INSERT INTO `group_chat` (thread_id, name) VALUES (9, 'a group');

CREATE TABLE `group_chat_member` (
    `thread_id` bigint unsigned NOT NULL,
    `user_id` bigint unsigned NOT NULL,
    `role` tinyint NOT NULL DEFAULT '0',
    `joined_at` timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP,
    `muted_until` timestamp NULL DEFAULT NULL,
    PRIMARY KEY (`thread_id`, `user_id`),
    KEY `idx_user_threads` (`user_id`)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;
INSERT INTO `group_chat_member` (thread_id, user_id, role) VALUES (9, 1002, 2), (9, 1023, 0);

CREATE TABLE `chat_message` (
    `message_id` bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY,
    `thread_id` bigint unsigned NOT NULL,
    `sender_id` bigint unsigned NOT NULL,
    `recv_id` bigint unsigned NOT NULL,
    `content` text NOT NULL,
    `created_at` timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP,
    `updated_at` timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
    `status` tinyint NOT NULL DEFAULT '0',
    KEY `idx_thread_created` (`thread_id`, `created_at`),
    KEY `idx_thread_message` (`thread_id`, `message_id`)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_general_ci;
INSERT INTO `chat_message` (message_id, thread_id, sender_id, recv_id, content, created_at, status) VALUES
    (11, 3, 1019, 1002, 'We are friends now', '2024-11-05 10:00:00', 2),
    (14, 3, 1002, 1019, 'hello Bob', '2024-11-05 10:00:01', 2),
    (15, 7, 1002, 1019, 'the other one', '2024-11-06 10:00:00', 2),
    (16, 3, 1019, 1002, '你好 😀', '2024-11-05 10:00:02', 0);

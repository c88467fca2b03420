-- A database of a first-season server with what it leaves behind: passwords as the client sent them, one pair of friends,
-- one application that waits. Case-insensitive, as their tables are.
CREATE TABLE `user` (
    `id` int NOT NULL AUTO_INCREMENT PRIMARY KEY,
    `uid` int NOT NULL DEFAULT '0',
    `name` varchar(255) NOT NULL DEFAULT '',
    `email` varchar(255) NOT NULL DEFAULT '',
    `pwd` varchar(255) NOT NULL DEFAULT '',
    `nick` varchar(255) NOT NULL DEFAULT '',
    `desc` varchar(255) NOT NULL DEFAULT '',
    `sex` int NOT NULL DEFAULT '0',
    `icon` varchar(255) NOT NULL DEFAULT '',
    UNIQUE KEY `uid` (`uid`),
    UNIQUE KEY `email` (`email`),
    KEY `name` (`name`)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_general_ci;
INSERT INTO `user` (uid, name, email, pwd, nick, `desc`, sex, icon) VALUES
    (1002, 'ada', 'ada@example.org', '745230', 'Countess', 'counts', 1, ':/res/head_1.jpg'),
    (1019, 'bob', 'bob@example.org', 'xyz/()', '', '', 0, ''),
    (1023, 'cy', 'cy@example.org', '', 'Cy', '', 0, '');

CREATE TABLE `user_id` (`id` int NOT NULL, PRIMARY KEY (`id`)) ENGINE = InnoDB;
INSERT INTO `user_id` VALUES (1055);

CREATE TABLE `friend` (
    `id` int unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY,
    `self_id` int NOT NULL,
    `friend_id` int NOT NULL,
    `back` varchar(255) NULL DEFAULT '',
    UNIQUE KEY `self_friend` (`self_id`, `friend_id`)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_general_ci;
INSERT INTO `friend` (self_id, friend_id, back) VALUES (1002, 1019, 'my Bob'), (1019, 1002, NULL);

CREATE TABLE `friend_apply` (
    `id` bigint NOT NULL AUTO_INCREMENT PRIMARY KEY,
    `from_uid` int NOT NULL,
    `to_uid` int NOT NULL,
    `status` smallint NOT NULL DEFAULT '0',
    UNIQUE KEY `from_to_uid` (`from_uid`, `to_uid`)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_general_ci;
INSERT INTO `friend_apply` (from_uid, to_uid, status) VALUES (1019, 1002, 1), (1023, 1002, 0);

-- The `llfc` schema of the original servers and, in addition, what our guarantee needs. Additive: a database of theirs is
-- taken over with everything in it, and they can go on using it.
--
-- MySQL commits after every CREATE and ALTER, so each statement here makes one thing (a table, a column or an index), and
-- `store/mysql/schema.rs` runs it only where that thing is missing. Statements end with a semicolon at the end of a line.

CREATE TABLE user (
    id    INT          NOT NULL AUTO_INCREMENT PRIMARY KEY,
    uid   INT          NOT NULL DEFAULT 0,
    name  VARCHAR(255) NOT NULL DEFAULT '',
    email VARCHAR(255) NOT NULL DEFAULT '',
    pwd   VARCHAR(255) NOT NULL DEFAULT '',
    nick  VARCHAR(255) NOT NULL DEFAULT '',
    `desc` VARCHAR(255) NOT NULL DEFAULT '',
    sex   INT          NOT NULL DEFAULT 0,
    icon  VARCHAR(255) NOT NULL DEFAULT ''
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE UNIQUE INDEX user_uid ON user (uid);
CREATE UNIQUE INDEX user_email ON user (email);
-- Not unique, because the originals' is not: registration looks first, one at a time.
CREATE INDEX user_name ON user (name);

-- One row: the uid handed out last.
CREATE TABLE user_id (id INT NOT NULL PRIMARY KEY) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;

-- Ours: the fence handed out last, one row a user who ever logged in.
CREATE TABLE user_fence (
    uid   INT    NOT NULL PRIMARY KEY,
    fence BIGINT NOT NULL
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;

CREATE TABLE friend (
    id        INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    self_id   INT          NOT NULL,
    friend_id INT          NOT NULL,
    back      VARCHAR(255) NULL DEFAULT ''
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE UNIQUE INDEX friend_pair ON friend (self_id, friend_id);

CREATE TABLE friend_apply (
    id       BIGINT   NOT NULL AUTO_INCREMENT PRIMARY KEY,
    from_uid INT      NOT NULL,
    to_uid   INT      NOT NULL,
    status   SMALLINT NOT NULL DEFAULT 0 COMMENT '1: approved'
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE UNIQUE INDEX friend_apply_pair ON friend_apply (from_uid, to_uid);
CREATE INDEX friend_apply_to ON friend_apply (to_uid, status);
-- The second season's; a first-season database has neither.
ALTER TABLE friend_apply ADD COLUMN descs VARCHAR(255) CHARACTER SET utf8mb4 NULL DEFAULT '';
ALTER TABLE friend_apply ADD COLUMN back_name VARCHAR(255) CHARACTER SET utf8mb4 NULL DEFAULT '';
-- Ours: what the approval stored, so that approving again can return it.
ALTER TABLE friend_apply ADD COLUMN thread_id BIGINT UNSIGNED NULL;
ALTER TABLE friend_apply ADD COLUMN first_seq BIGINT NULL;
ALTER TABLE friend_apply ADD COLUMN last_seq BIGINT NULL;

CREATE TABLE chat_thread (
    id         BIGINT UNSIGNED          NOT NULL AUTO_INCREMENT PRIMARY KEY,
    type       ENUM('private', 'group') NOT NULL,
    created_at TIMESTAMP                NOT NULL DEFAULT CURRENT_TIMESTAMP
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;

-- Ours: the number given last in each conversation.
CREATE TABLE thread_head (
    thread_id BIGINT UNSIGNED NOT NULL PRIMARY KEY,
    seq       BIGINT          NOT NULL DEFAULT 0
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;

CREATE TABLE private_chat (
    thread_id  BIGINT UNSIGNED NOT NULL PRIMARY KEY,
    user1_id   BIGINT UNSIGNED NOT NULL,
    user2_id   BIGINT UNSIGNED NOT NULL,
    created_at TIMESTAMP       NOT NULL DEFAULT CURRENT_TIMESTAMP
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;

CREATE UNIQUE INDEX private_chat_pair ON private_chat (user1_id, user2_id);
CREATE INDEX private_chat_user1 ON private_chat (user1_id, thread_id);
CREATE INDEX private_chat_user2 ON private_chat (user2_id, thread_id);

CREATE TABLE group_chat (
    thread_id  BIGINT UNSIGNED NOT NULL PRIMARY KEY,
    name       VARCHAR(255)    NOT NULL DEFAULT '',
    created_at TIMESTAMP       NOT NULL DEFAULT CURRENT_TIMESTAMP
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE group_chat_member (
    thread_id   BIGINT UNSIGNED NOT NULL,
    user_id     BIGINT UNSIGNED NOT NULL,
    role        TINYINT         NOT NULL DEFAULT 0 COMMENT '0 member, 1 administrator, 2 creator',
    joined_at   TIMESTAMP       NOT NULL DEFAULT CURRENT_TIMESTAMP,
    muted_until TIMESTAMP       NULL,
    PRIMARY KEY (thread_id, user_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;

CREATE INDEX group_chat_member_user ON group_chat_member (user_id);

CREATE TABLE chat_message (
    message_id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    thread_id  BIGINT UNSIGNED NOT NULL,
    sender_id  BIGINT UNSIGNED NOT NULL,
    recv_id    BIGINT UNSIGNED NOT NULL,
    content    TEXT            NOT NULL,
    created_at TIMESTAMP       NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMP       NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
    status     TINYINT         NOT NULL DEFAULT 0
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- Ours: the number in the conversation (1, 2, 3 …), the sender's id for the text, and when the server got it. An original
-- knows none of them and leaves NULL.
ALTER TABLE chat_message ADD COLUMN seq BIGINT NULL;
ALTER TABLE chat_message ADD COLUMN client_id VARBINARY(64) NULL;
ALTER TABLE chat_message ADD COLUMN sent_at_ms BIGINT NULL;
CREATE INDEX chat_message_thread ON chat_message (thread_id, message_id);
CREATE UNIQUE INDEX chat_message_seq ON chat_message (thread_id, seq);
CREATE UNIQUE INDEX chat_message_client ON chat_message (sender_id, client_id);

-- The `llfc` schema of the original servers, as SQLite spells it, with the columns and tables that our guarantee needs.
-- Columns of the originals keep their names, so that a copy in either direction is INSERT … SELECT.
-- Text is compared byte by byte (collation BINARY, the default).

CREATE TABLE user (
    id    INTEGER PRIMARY KEY AUTOINCREMENT,
    uid   INTEGER NOT NULL UNIQUE CHECK (uid BETWEEN 1 AND 2147483647),
    name  TEXT    NOT NULL UNIQUE, -- ours: unique
    email TEXT    NOT NULL UNIQUE,
    pwd   TEXT    NOT NULL DEFAULT '',
    nick  TEXT    NOT NULL DEFAULT '',
    desc  TEXT    NOT NULL DEFAULT '',
    sex   INTEGER NOT NULL DEFAULT 0,
    icon  TEXT    NOT NULL DEFAULT ''
);

-- One row: the uid handed out last.
CREATE TABLE user_id (id INTEGER PRIMARY KEY);
INSERT INTO user_id (id) VALUES (1000);

-- Ours: the fence handed out last, one row a user who ever logged in.
CREATE TABLE user_fence (
    uid   INTEGER PRIMARY KEY,
    fence INTEGER NOT NULL
);

CREATE TABLE friend (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    self_id   INTEGER NOT NULL REFERENCES user (uid),
    friend_id INTEGER NOT NULL REFERENCES user (uid),
    back      TEXT DEFAULT '',
    UNIQUE (self_id, friend_id)
);

CREATE TABLE chat_thread (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    type       TEXT      NOT NULL CHECK (type IN ('private', 'group')),
    created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
);

-- Ours: the number given last in each conversation.
CREATE TABLE thread_head (
    thread_id INTEGER PRIMARY KEY REFERENCES chat_thread (id),
    seq       INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE friend_apply (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    from_uid  INTEGER  NOT NULL REFERENCES user (uid),
    to_uid    INTEGER  NOT NULL REFERENCES user (uid),
    status    SMALLINT NOT NULL DEFAULT 0, -- 1: approved
    descs     TEXT     NOT NULL DEFAULT '',
    back_name TEXT     NOT NULL DEFAULT '',
    -- Ours: what the approval stored, so that approving again can return it.
    thread_id INTEGER REFERENCES chat_thread (id),
    first_seq INTEGER,
    last_seq  INTEGER,
    UNIQUE (from_uid, to_uid)
);
CREATE INDEX friend_apply_to ON friend_apply (to_uid, status, id DESC);

CREATE TABLE private_chat (
    thread_id  INTEGER PRIMARY KEY REFERENCES chat_thread (id),
    user1_id   INTEGER   NOT NULL,
    user2_id   INTEGER   NOT NULL,
    created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    UNIQUE (user1_id, user2_id)
);
CREATE INDEX private_chat_user1 ON private_chat (user1_id, thread_id);
CREATE INDEX private_chat_user2 ON private_chat (user2_id, thread_id);

CREATE TABLE group_chat (
    thread_id  INTEGER PRIMARY KEY REFERENCES chat_thread (id),
    name       TEXT      NOT NULL DEFAULT '',
    created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE group_chat_member (
    thread_id   INTEGER   NOT NULL REFERENCES chat_thread (id),
    user_id     INTEGER   NOT NULL,
    role        TINYINT   NOT NULL DEFAULT 0, -- 0 member, 1 administrator, 2 creator
    joined_at   TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    muted_until TIMESTAMP,
    PRIMARY KEY (thread_id, user_id)
) WITHOUT ROWID;
CREATE INDEX group_chat_member_user ON group_chat_member (user_id);

-- The originals' index (thread_id, created_at) serves no look-up of ours and would cost every insert.
CREATE TABLE chat_message (
    message_id INTEGER PRIMARY KEY AUTOINCREMENT,
    thread_id  INTEGER   NOT NULL REFERENCES chat_thread (id),
    sender_id  INTEGER   NOT NULL,
    recv_id    INTEGER   NOT NULL,
    content    TEXT      NOT NULL,
    created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    status     TINYINT   NOT NULL DEFAULT 2,
    seq        INTEGER   NOT NULL, -- ours: the number in the conversation, 1, 2, 3 …
    client_id  TEXT,               -- ours: the sender's id for it, as sent
    sent_at_ms INTEGER   NOT NULL, -- ours: when the server got it
    UNIQUE (thread_id, seq)
);
CREATE INDEX chat_message_thread ON chat_message (thread_id, message_id);
CREATE UNIQUE INDEX chat_message_client ON chat_message (sender_id, client_id) WHERE client_id IS NOT NULL;

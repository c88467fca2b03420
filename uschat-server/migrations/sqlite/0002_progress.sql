-- How far each user has got in each conversation, and which conversations have moved.

-- The key of the conversation's last text; 0 in an empty one.
ALTER TABLE thread_head ADD COLUMN last_key INTEGER NOT NULL DEFAULT 0;
-- Everything up to this number was there before progress was kept, and counts as delivered.
ALTER TABLE thread_head ADD COLUMN taken_over INTEGER NOT NULL DEFAULT 0;
UPDATE thread_head SET taken_over = seq, last_key =
    coalesce((SELECT max(message_id) FROM chat_message WHERE chat_message.thread_id = thread_head.thread_id), 0);
CREATE INDEX thread_head_last_key ON thread_head (last_key);

CREATE TABLE thread_progress (
    user_id       INTEGER NOT NULL,
    thread_id     INTEGER NOT NULL REFERENCES chat_thread (id),
    delivered_seq INTEGER NOT NULL, -- everything up to this number has reached the user
    read_seq      INTEGER NOT NULL, -- everything up to this number was read
    PRIMARY KEY (user_id, thread_id)
) WITHOUT ROWID;

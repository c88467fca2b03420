-- How far each user has got in each conversation, and which conversations have moved. As in 0001, each statement makes one
-- thing.

-- The key of the conversation's last text; 0 in an empty one.
ALTER TABLE thread_head ADD COLUMN last_key BIGINT NOT NULL DEFAULT 0;
-- Everything up to this number was there before progress was kept, and counts as delivered.
ALTER TABLE thread_head ADD COLUMN taken_over BIGINT NOT NULL DEFAULT 0;
CREATE INDEX thread_head_last_key ON thread_head (last_key);

CREATE TABLE thread_progress (
    user_id       INT             NOT NULL,
    thread_id     BIGINT UNSIGNED NOT NULL,
    delivered_seq BIGINT          NOT NULL COMMENT 'everything up to this number has reached the user',
    read_seq      BIGINT          NOT NULL COMMENT 'everything up to this number was read',
    PRIMARY KEY (user_id, thread_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;

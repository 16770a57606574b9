-- When a checkpoint was committed, in milliseconds since 1970: the oldest ones go first when room is short. Zero for those
-- from before there was this column. A checkpoint that was removed has no row; the log says when and why it went.
ALTER TABLE checkpoints ADD COLUMN committed_at_ms INTEGER NOT NULL DEFAULT 0;

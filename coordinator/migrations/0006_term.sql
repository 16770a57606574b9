-- Which writer the log belongs to: each one that takes the store over raises the term, and what is written under an older one
-- is refused.
ALTER TABLE log_end ADD COLUMN term INTEGER NOT NULL DEFAULT 0;

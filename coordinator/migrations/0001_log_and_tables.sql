-- The log of facts is the truth; docs/decisions/0003-sqlite-event-log.md. The other tables are for queries, and are
-- written in the same transaction. Times are milliseconds since 1970; identifiers are written as people see them.

CREATE TABLE facts (
    -- Without gaps, from 1.
    sequence INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    -- scheduler::Fact as JSON.
    fact TEXT NOT NULL
) STRICT;

CREATE TRIGGER facts_are_never_changed BEFORE UPDATE ON facts
BEGIN
    SELECT raise(ABORT, 'facts are appended, never changed');
END;

CREATE TRIGGER facts_are_never_removed BEFORE DELETE ON facts
BEGIN
    SELECT raise(ABORT, 'facts are appended, never removed');
END;

CREATE TABLE campaigns (
    campaign TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    -- When it was submitted for the first time.
    submitted_at_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE recipes (
    campaign TEXT PRIMARY KEY REFERENCES campaigns,
    file TEXT NOT NULL,
    text TEXT NOT NULL
) STRICT;

CREATE TABLE stages (
    stage TEXT PRIMARY KEY,
    parent TEXT REFERENCES stages,
    -- Size and seed as the campaign that asked for it first calls them.
    size TEXT NOT NULL,
    seed INTEGER NOT NULL,
    start_step INTEGER NOT NULL,
    end_step INTEGER NOT NULL
) STRICT;

CREATE TABLE campaign_stages (
    campaign TEXT NOT NULL REFERENCES campaigns,
    stage TEXT NOT NULL REFERENCES stages,
    PRIMARY KEY (campaign, stage)
) STRICT, WITHOUT ROWID;

CREATE TABLE attempts (
    stage TEXT NOT NULL REFERENCES stages,
    attempt INTEGER NOT NULL,
    worker TEXT NOT NULL,
    started_at_ms INTEGER NOT NULL,
    -- NULL while it runs.
    ended_at_ms INTEGER,
    -- How it ended, for people.
    outcome TEXT,
    PRIMARY KEY (stage, attempt)
) STRICT, WITHOUT ROWID;

-- How stages ended that are done. A measurement that was not made, and a loss that is no number, is NULL.
CREATE TABLE results (
    stage TEXT PRIMARY KEY,
    attempt INTEGER NOT NULL,
    validation_loss REAL,
    validation_loss_per_byte REAL,
    -- Where it diverged, if that is how it ended.
    diverged_at_step INTEGER,
    diverged_loss REAL,
    FOREIGN KEY (stage, attempt) REFERENCES attempts
) STRICT, WITHOUT ROWID;

-- The index of checkpoints: one that is not here does not exist.
CREATE TABLE checkpoints (
    stage TEXT NOT NULL,
    step INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    manifest_path TEXT NOT NULL,
    manifest_hash TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    PRIMARY KEY (stage, step),
    FOREIGN KEY (stage, attempt) REFERENCES attempts
) STRICT, WITHOUT ROWID;

-- Loss curves; docs/decisions/0005-curve-rows-and-determinism.md. NULL is what was measured and is no number (NaN).
CREATE TABLE curve_points (
    stage TEXT NOT NULL,
    step INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    loss REAL,
    grad_norm REAL,
    learning_rate REAL,
    PRIMARY KEY (stage, step),
    FOREIGN KEY (stage, attempt) REFERENCES attempts
) STRICT, WITHOUT ROWID;

-- How far the reports of each worker process are taken in.
CREATE TABLE worker_streams (
    worker TEXT PRIMARY KEY,
    last_sequence INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

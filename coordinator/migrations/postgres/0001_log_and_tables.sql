-- The tables of coordinator/migrations, as PostgreSQL has them; docs/design/engines.md. The log of facts is the truth, and the
-- other tables are for queries and are written in the same transaction. Times are milliseconds since 1970; identifiers are
-- written as people see them, and are compared byte by byte. Who leads is in the table `leader`, which is there before these.

CREATE TABLE facts (
    -- Without gaps, from 1.
    sequence BIGINT PRIMARY KEY,
    at_ms BIGINT NOT NULL,
    -- scheduler::Fact as JSON.
    fact TEXT NOT NULL,
    -- BLAKE3 of the chain of the row before, of this row's number, time and fact. NULL in rows copied from before there was one.
    chain BYTEA,
    -- The term that wrote it; zero in rows that were copied from another store.
    epoch BIGINT NOT NULL
);

CREATE FUNCTION facts_are_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'facts are appended, never changed or removed';
END
$$;

CREATE TRIGGER facts_are_never_changed BEFORE UPDATE OR DELETE ON facts FOR EACH ROW EXECUTE FUNCTION facts_are_kept();
CREATE TRIGGER facts_are_never_truncated BEFORE TRUNCATE ON facts FOR EACH STATEMENT EXECUTE FUNCTION facts_are_kept();

-- The end of the log: a tail that is cut off leaves a log that is sound in itself.
CREATE TABLE log_end (
    one BIGINT PRIMARY KEY CHECK (one = 1),
    sequence BIGINT NOT NULL,
    chain BYTEA
);

INSERT INTO log_end (one, sequence, chain) VALUES (1, 0, NULL);

CREATE TABLE snapshots (
    -- The last row of the log that is in it, and that row's chain.
    sequence BIGINT PRIMARY KEY,
    chain BYTEA NOT NULL,
    at_ms BIGINT NOT NULL,
    -- scheduler::SNAPSHOT_VERSION.
    version BIGINT NOT NULL,
    -- scheduler::Snapshot as JSON, and the BLAKE3 of it.
    ledger BYTEA NOT NULL,
    checksum BYTEA NOT NULL
);

CREATE TABLE campaigns (
    campaign TEXT COLLATE "C" PRIMARY KEY,
    name TEXT NOT NULL,
    -- When it was submitted for the first time.
    submitted_at_ms BIGINT NOT NULL
);

CREATE TABLE recipes (
    campaign TEXT COLLATE "C" PRIMARY KEY REFERENCES campaigns DEFERRABLE,
    file TEXT NOT NULL,
    text TEXT NOT NULL
);

CREATE TABLE stages (
    stage TEXT COLLATE "C" PRIMARY KEY,
    parent TEXT COLLATE "C" REFERENCES stages DEFERRABLE,
    -- Size and seed as the campaign that asked for it first calls them.
    size TEXT NOT NULL,
    seed BIGINT NOT NULL,
    start_step BIGINT NOT NULL,
    end_step BIGINT NOT NULL
);

CREATE TABLE campaign_stages (
    campaign TEXT COLLATE "C" NOT NULL REFERENCES campaigns DEFERRABLE,
    stage TEXT COLLATE "C" NOT NULL REFERENCES stages DEFERRABLE,
    PRIMARY KEY (campaign, stage)
);

CREATE INDEX campaign_stages_by_stage ON campaign_stages (stage);

CREATE TABLE attempts (
    stage TEXT COLLATE "C" NOT NULL REFERENCES stages DEFERRABLE,
    attempt BIGINT NOT NULL,
    worker TEXT COLLATE "C" NOT NULL,
    started_at_ms BIGINT NOT NULL,
    -- NULL while it runs.
    ended_at_ms BIGINT,
    -- How it ended, for people.
    outcome TEXT,
    PRIMARY KEY (stage, attempt)
);

-- How stages ended that are done.
CREATE TABLE results (
    stage TEXT COLLATE "C" PRIMARY KEY,
    attempt BIGINT NOT NULL,
    -- Where it diverged, if that is how it ended.
    diverged_at_step BIGINT,
    diverged_loss DOUBLE PRECISION,
    FOREIGN KEY (stage, attempt) REFERENCES attempts DEFERRABLE
);

-- The results of completed stages: a name and a number each. NULL is what was measured as NaN.
CREATE TABLE result_measurements (
    stage TEXT COLLATE "C" NOT NULL REFERENCES results DEFERRABLE,
    name TEXT COLLATE "C" NOT NULL,
    value DOUBLE PRECISION,
    PRIMARY KEY (stage, name)
);

-- The rows behind a result: three little-endian numbers each, of eight bytes: nats as a double, tokens and bytes as unsigned
-- integers.
CREATE TABLE result_rows (
    stage TEXT COLLATE "C" NOT NULL REFERENCES stages DEFERRABLE,
    name TEXT COLLATE "C" NOT NULL,
    rows BYTEA NOT NULL,
    PRIMARY KEY (stage, name)
);

-- The index of checkpoints: one that is not here does not exist.
CREATE TABLE checkpoints (
    stage TEXT COLLATE "C" NOT NULL,
    step BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    manifest_path TEXT NOT NULL,
    manifest_hash TEXT NOT NULL,
    bytes BIGINT NOT NULL,
    -- Zero for those from before there was this column.
    committed_at_ms BIGINT NOT NULL,
    PRIMARY KEY (stage, step),
    FOREIGN KEY (stage, attempt) REFERENCES attempts DEFERRABLE
);

-- Loss curves; docs/decisions/0005-curve-rows-and-determinism.md. NULL is what was measured as NaN.
CREATE TABLE curve_points (
    stage TEXT COLLATE "C" NOT NULL,
    step BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    loss DOUBLE PRECISION,
    grad_norm DOUBLE PRECISION,
    learning_rate DOUBLE PRECISION,
    PRIMARY KEY (stage, step),
    FOREIGN KEY (stage, attempt) REFERENCES attempts DEFERRABLE
);

-- What stages that record measured of their steps, beside the curve. A stage and a name have one number together.
CREATE TABLE curve_series (
    id BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    stage TEXT COLLATE "C" NOT NULL REFERENCES stages DEFERRABLE,
    name TEXT COLLATE "C" NOT NULL,
    UNIQUE (stage, name)
);

CREATE TABLE curve_measurements (
    series BIGINT NOT NULL REFERENCES curve_series DEFERRABLE,
    -- One of `curve_points`; both go together.
    step BIGINT NOT NULL,
    value DOUBLE PRECISION,
    PRIMARY KEY (series, step)
);

-- How far the reports of each worker process are taken in, and who speaks for it.
CREATE TABLE worker_streams (
    worker TEXT COLLATE "C" PRIMARY KEY,
    last_sequence BIGINT NOT NULL,
    -- The token under which it said its first hello; NULL where none was needed.
    token TEXT,
    -- BLAKE3 of the secret in that hello, in hexadecimal; NULL where it had none.
    secret_hash TEXT
);

-- Who may speak to the coordinator; docs/design/security.md. A token itself is stored nowhere.
CREATE TABLE tokens (
    -- The public part of the token.
    token TEXT COLLATE "C" PRIMARY KEY,
    -- For people.
    name TEXT NOT NULL,
    scope TEXT NOT NULL,
    -- BLAKE3 of the whole token, in hexadecimal.
    hash TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    -- NULL where it does not expire.
    expires_at_ms BIGINT,
    -- NULL while it is valid.
    revoked_at_ms BIGINT
);

-- Folders below the root of the storage whose files nothing needs any more, until they are deleted.
CREATE TABLE deletions (
    folder TEXT COLLATE "C" PRIMARY KEY
);

-- The storage of datasets and checkpoints, which every coordinator of this store uses.
CREATE TABLE storage (
    one BIGINT PRIMARY KEY CHECK (one = 1),
    address TEXT NOT NULL,
    -- What its marker says.
    id TEXT NOT NULL
);

-- Pools whose allocations outlive the coordinator. `settings` is JSON.
CREATE TABLE pools (
    name TEXT COLLATE "C" PRIMARY KEY,
    kind TEXT NOT NULL,
    mark TEXT NOT NULL,
    mode TEXT NOT NULL,
    reason TEXT NOT NULL,
    settings TEXT NOT NULL
);

-- One row for each submission, committed before it is made; `job` is the batch system's answer. It goes once the job is over.
CREATE TABLE allocations (
    allocation TEXT COLLATE "C" PRIMARY KEY,
    pool TEXT NOT NULL,
    intended_at_ms BIGINT NOT NULL,
    job BIGINT
);
